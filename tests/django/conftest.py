"""The probing project in this process, each test with a state directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.test.utils import override_settings, setup_test_environment, teardown_test_environment

from coatcheck.client import SessionClient
from coatcheck.django.config import get_client, use_client
from coatcheck.django.sessions import SessionStore
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.session.spy import Spy

django.setup()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with the users ann and bob."""
    setup_test_environment()
    path = tmp_path_factory.mktemp("database") / "django.sqlite3"
    settings.DATABASES["default"]["NAME"] = connections["default"].settings_dict["NAME"] = str(path)
    call_command("migrate", verbosity=0)
    for name in ("ann", "bob"):
        get_user_model().objects.create_user(name, password=f"{name}'s password")
    yield path
    connections.close_all()
    teardown_test_environment()


@pytest.fixture(autouse=True)
def project(home: Path, database: Path) -> Iterator[None]:
    """The project on the state directory of the test; users are as they were afterwards."""
    with override_settings(COATCHECK={"HOME": home}):
        yield
        get_client().close()
        for user in get_user_model().objects.all():
            user.is_active = True
            user.set_password(f"{user.username}'s password")
            user.save()
        connections.close_all()


@pytest.fixture
def client() -> SessionClient:
    """The client of the project."""
    return get_client()


@pytest.fixture
def spy(store: LmdbStore) -> Spy:
    """The project's store, watched."""
    return Spy(store)


@pytest.fixture
def held(store: LmdbStore, spy: Spy, clock: FakeClock) -> Iterator[SessionClient]:
    """The project's client at a time that the test holds, on a store that is watched."""
    with using(SessionClient(store.settings, store=spy, clock=clock)) as client:
        yield client


@contextmanager
def using(client: SessionClient) -> Iterator[SessionClient]:
    """The project on this client."""
    use_client(client)
    try:
        yield client
    finally:
        use_client(None)


def session_of(token: str | None) -> SessionStore:
    """The session of a key, as Django would open it."""
    return SessionStore(token)


@pytest.fixture
def browser() -> Client:
    """A browser that has not been there yet; errors become answers."""
    return Client(raise_request_exception=False)


def cookie_of(browser: Client, name: str = "__Host-id") -> str:
    """The token that the browser holds."""
    value: str = browser.cookies[name].value
    return value


def ann() -> Any:
    """A user."""
    return get_user_model().objects.get(username="ann")
