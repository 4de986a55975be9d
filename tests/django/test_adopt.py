"""Sessions that were kept elsewhere move in with the first request of their users."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client, override_settings

from coatcheck.client import SessionClient
from coatcheck.django.config import get_client, get_options
from tests.adopt.memory import MemorySource
from tests.django.conftest import ann

ROOT = Path(__file__).parents[2]
OLD = "abcdefghijklmnop"
COOKIE = "__Host-id"


@pytest.fixture
def source() -> MemorySource:
    """The old store, with a session of ann."""
    user = ann()
    data = {
        "_auth_user_id": str(user.pk),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": user.get_session_auth_hash(),
        "mark": "of before",
    }
    return MemorySource({OLD: data}, cookie_name="sessionid", principal_key="_auth_user_id")


@pytest.fixture
def client(home: Path, source: MemorySource) -> Iterator[SessionClient]:
    """The project, told where sessions were."""
    with override_settings(COATCHECK={"HOME": home, "ADOPT": [source]}):
        yield get_client()


def from_before() -> Client:
    """A browser with an old cookie."""
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = OLD
    return browser


def test_nobody_is_signed_out(client: SessionClient, source: MemorySource) -> None:
    """The first request that uses the session moves it: new cookie, old one removed, the user bound."""
    browser = from_before()
    assert browser.get("/untouched").cookies.output() == ""
    assert source.reads == []
    answer = browser.get("/who")
    assert (answer.json()["user"], answer.json()["mark"]) == ("ann", "of before")
    assert (answer.cookies[COOKIE]["httponly"], answer.cookies["sessionid"]["max-age"]) == (True, "0")
    assert (source.rows, len(client.sessions_of(str(ann().pk)))) == ({}, 1)
    assert browser.get("/who").cookies.output() == ""
    browser.get("/sign_out")
    assert from_before().get("/who").json()["user"] is None


def test_an_outage_of_the_old_store_is_an_outage(client: SessionClient, source: MemorySource) -> None:
    """503, and no cookie is touched; the session moves when it is back."""
    source.away = True
    answer = from_before().get("/who")
    assert (answer.status_code, answer.cookies.output()) == (503, "")
    source.away = False
    assert from_before().get("/who").json()["user"] == "ann"


def test_an_asynchronous_view_gets_it_too(client: SessionClient) -> None:
    """Whatever the old store does is done in a thread."""

    async def visit() -> Any:
        browser = AsyncClient()
        browser.cookies["sessionid"] = OLD
        return await browser.get("/anote", {"text": "new"})

    answer = asyncio.run(visit())
    assert answer.json() == {"notes": 1}
    assert client.find(answer.cookies[COOKIE].value).record.data["mark"] == "of before"  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", ["no.such.module", "coatcheck.adopt.Nothing", ["coatcheck.adopt.DjangoCache"]])
def test_a_source_that_cannot_be_is_said(wrong: Any) -> None:
    """By name."""
    with override_settings(COATCHECK={"ADOPT": wrong}), pytest.raises(ImproperlyConfigured, match="ADOPT"):
        get_options()


MOVE = """
import django; django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.contrib.sessions.backends.db import SessionStore
call_command("migrate", verbosity=0)
old = SessionStore(); old["mark"] = "of before"; old.save()
browser = Client(); browser.cookies["sessionid"] = old.session_key
print(browser.get("/who").json()["mark"], old.exists(old.session_key))
"""


def test_sessions_of_djangos_database_move_in(tmp_path: Path, home: Path) -> None:
    """By a dotted name in the settings, as the source cannot be made while they are read."""
    (tmp_path / "moving_settings.py").write_text(
        "from tests.django.project.settings import *\n"
        "INSTALLED_APPS = [*INSTALLED_APPS, 'django.contrib.sessions']\n"
        "COATCHECK = {**COATCHECK, 'ADOPT': ['coatcheck.adopt.DjangoDatabase']}\n"
    )
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "moving_settings",
        "PROBE_HOME": str(home),
        "PROBE_DATABASE": str(tmp_path / "old.sqlite3"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", MOVE], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == "of before False\n", done.stderr
