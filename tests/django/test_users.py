"""The sessions of a user, and what ends them when the account changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client, override_settings

from coatcheck.client import SessionClient
from coatcheck.django import signals
from coatcheck.django.config import use_client
from coatcheck.django.users import arevoke, asessions_of, principal_of, revoke, sessions_of
from tests.django.conftest import ann
from tests.django.test_sessions import signed_in
from tests.session.spy import Spy


@pytest.fixture
def listening(home: Path, held: SessionClient) -> Iterator[SessionClient]:
    """The opt-in."""
    with override_settings(COATCHECK={"HOME": home, "REVOKE_ON_CHANGE": True}):
        use_client(held)
        signals.connect()
        yield held
        signals.disconnect()


def browsers() -> tuple[Client, Client]:
    """Two in which ann is signed in."""
    both = Client(), Client()
    for each in both:
        assert each.get("/sign_in", {"name": "ann"}).status_code == 200
    return both


def is_there(client: SessionClient) -> int:
    """How many sessions ann has."""
    return len(client.sessions_of(str(ann().pk)))


def test_sessions_of_a_user(held: SessionClient) -> None:
    """Listed, with the device, and ended: all, or all but this one."""
    browser, _ = browsers()
    assert principal_of(ann()) == str(ann().pk)
    assert [set(info.meta) for info in sessions_of(ann())] == [{"ip", "user_agent", "auth_time"}] * 2
    assert revoke(ann(), except_=browser.session) == 1
    assert browser.get("/who").json()["user"] == "ann"
    assert revoke(ann()) == 1
    assert browser.get("/who").json()["user"] is None


def test_the_twins_for_asyncio(held: SessionClient) -> None:
    """The same."""
    user = ann()
    session = signed_in(str(user.pk))
    signed_in(str(user.pk))

    async def use() -> tuple[int, int, int]:
        return len(await asessions_of(user)), await arevoke(user, except_=session), await arevoke(user)

    assert asyncio.run(use()) == (2, 1, 1)


def test_a_changed_password_ends_the_other_sessions(listening: SessionClient) -> None:
    """The one in which it was changed goes on (ASVS 7.4.3)."""
    browser, other = browsers()
    assert browser.get("/change_password", {"password": "a new one"}).status_code == 200
    assert is_there(listening) == 1
    assert browser.get("/who").json()["user"] == "ann"
    assert other.get("/who").json()["user"] is None


def test_a_password_that_was_changed_elsewhere_ends_all(listening: SessionClient) -> None:
    """By a command, or by an administrator in a session of their own."""
    browsers()
    user = ann()
    user.set_password("a new one")
    user.save()
    assert is_there(listening) == 0


@pytest.mark.parametrize("how", ["deactivated", "deleted"])
def test_a_user_who_may_no_longer_in_is_out(listening: SessionClient, how: str) -> None:
    """Everywhere, and at once (ASVS 7.4.2)."""
    user = get_user_model().objects.create_user(f"user {how}", password="x")
    signed_in(str(user.pk))
    principal = str(user.pk)
    if how == "deactivated":
        user.is_active = False
        user.save(update_fields=["is_active"])
    else:
        user.delete()
    assert listening.sessions_of(principal) == []
    get_user_model().objects.filter(username=f"user {how}").delete()


def test_other_changes_end_nothing(listening: SessionClient) -> None:
    """Another field, the same password, a new user, and a login, which stores its time."""
    browsers()
    user = ann()
    user.first_name = "Ann"
    user.save()
    user.save(update_fields=["first_name"])
    get_user_model().objects.create_user("new", password="x").delete()
    assert is_there(listening) == 2


def test_a_change_that_is_rolled_back_ends_nothing(listening: SessionClient) -> None:
    """Sessions end when the database has it."""
    browsers()
    user = ann()
    with transaction.atomic():
        user.is_active = False
        user.save()
        assert is_there(listening) == 2
        transaction.set_rollback(True)
    assert is_there(listening) == 2


def test_in_an_outage_the_account_is_changed_and_it_is_said(
    listening: SessionClient, spy: Spy, caplog: pytest.LogCaptureFixture
) -> None:
    """Django itself refuses the old sessions then."""
    browser, _ = browsers()
    user = ann()
    spy.away = True
    user.set_password("a new one")
    user.save()
    spy.away = False
    assert [each.levelno for each in caplog.records if "could not be ended" in each.getMessage()] == [logging.ERROR]
    assert browser.get("/who").json()["user"] is None


def test_without_the_opt_in_nothing_listens(held: SessionClient) -> None:
    """Django's own rule holds: the old session counts as nobody's when it is next used."""
    browser, _ = browsers()
    user = ann()
    user.set_password("a new one")
    user.save()
    assert is_there(held) == 2
    assert browser.get("/who").json()["user"] is None
