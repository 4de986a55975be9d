"""``request.user`` of those who have signed in by an application of another framework."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import AsyncClient, Client, override_settings

from coatcheck.client import SessionClient
from coatcheck.django.principal import PrincipalMiddleware
from tests.django.conftest import ann

OURS = "coatcheck.django.principal.PrincipalMiddleware"
NOBODY = {"user": None}


class ByName(PrincipalMiddleware):
    """Another idea of a principal."""

    def user_of(self, principal: str | None) -> Any:
        """The user of a name."""
        return ann() if principal == "name:ann" else None


@pytest.fixture(autouse=True)
def _with_principals(project: None) -> Iterator[None]:
    with override_settings(MIDDLEWARE=middleware(OURS)):
        yield


def middleware(ours: str) -> list[str]:
    """Those of the project, with this one in its place."""
    names = [name for name in settings.MIDDLEWARE if name != OURS]
    names.insert(names.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1, ours)
    return names


def visitor(client: SessionClient, principal: str | None, **data: Any) -> Client:
    """Somebody whom another application has signed in."""
    browser = Client()
    browser.cookies["__Host-id"] = client.create({"a": 1, **data}, principal=principal)[0]
    return browser


def seen_by(browser: Client) -> dict[str, Any]:
    """Who that is, for a view."""
    return {"user": browser.get("/who").json()["user"]}


def seen_by_async(browser: Client) -> dict[str, Any]:
    """Who that is, for an asynchronous view."""

    async def visit() -> Any:
        asker = AsyncClient()
        asker.cookies = browser.cookies
        return (await asker.get("/awho")).json()["user"]

    return {"user": asyncio.run(visit())}


@pytest.mark.parametrize("seen", [seen_by, seen_by_async])
def test_whoever_signed_in_elsewhere_is_a_user_here(client: SessionClient, seen: Any) -> None:
    """By the primary key; without a principal, and with one that is no user of ours, it is nobody and no error."""
    assert seen(visitor(client, str(ann().pk))) == {"user": "ann"}
    for principal in (None, "4711", "ann", "google:110169", "-1", "x" * 500):
        assert seen(visitor(client, principal)) == NOBODY, principal


@pytest.mark.parametrize("seen", [seen_by, seen_by_async])
def test_who_is_not_active_is_nobody(client: SessionClient, seen: Any) -> None:
    """As the authentication backends say."""
    user = ann()
    user.is_active = False
    user.save()

    assert seen(visitor(client, str(user.pk))) == NOBODY


@pytest.mark.parametrize("seen", [seen_by, seen_by_async])
def test_django_has_the_last_word_about_its_own_logins(client: SessionClient, seen: Any) -> None:
    """A login by a backend that was taken out since is none, and a changed password ends it."""
    key = str(ann().pk)
    taken_out = {"_auth_user_id": key, "_auth_user_backend": "old.Backend", "_auth_user_hash": "x"}
    assert seen(visitor(client, key, **taken_out)) == NOBODY
    browser = Client()
    browser.get("/sign_in", {"name": "ann"})
    assert seen(browser) == {"user": "ann"}
    user = ann()
    user.set_password("another")
    user.save()
    assert seen(browser) == NOBODY


@pytest.mark.parametrize("seen", [seen_by, seen_by_async])
def test_a_logout_of_djangos_ends_it(client: SessionClient, seen: Any) -> None:
    """For whoever signed in elsewhere, too."""
    browser = visitor(client, str(ann().pk))
    tab = Client()
    tab.cookies["__Host-id"] = browser.cookies["__Host-id"].value
    assert seen(browser) == {"user": "ann"}
    browser.get("/sign_out")

    assert seen(tab) == NOBODY


def test_users_may_be_known_by_something_else(client: SessionClient) -> None:
    """A subclass says by what."""
    with override_settings(MIDDLEWARE=middleware(f"{__name__}.ByName")):
        assert seen_by(visitor(client, "name:ann")) == {"user": "ann"}
        assert seen_by_async(visitor(client, "name:ann")) == {"user": "ann"}
        assert seen_by(visitor(client, str(ann().pk))) == NOBODY


def test_it_says_where_it_belongs() -> None:
    """In front of what it builds on it cannot work."""
    with pytest.raises(ImproperlyConfigured, match="after SessionMiddleware and AuthenticationMiddleware"):
        PrincipalMiddleware(lambda _: None)(HttpRequest())
