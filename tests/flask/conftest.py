"""The probing application in this process, on either lane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.flask.probe import create_app
from tests.system.running import RunningSystem


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """An actor system that the tests of a run share."""
    with RunningSystem(tmp_path_factory.mktemp("system") / "state") as running:
        yield running


@pytest.fixture(params=["direct", "actor"])
def lane(request: pytest.FixtureRequest) -> str:
    """Both lanes."""
    name: str = request.param
    return name


@pytest.fixture
def lane_home(lane: str, home: Path, request: pytest.FixtureRequest) -> Path:
    """A state directory of the test's own, or that of the running system."""
    if lane == "direct":
        return home
    running: RunningSystem = request.getfixturevalue("system")
    return running.home


@pytest.fixture
def app(lane: str, lane_home: Path) -> Iterator[Flask]:
    """The application on a lane."""
    app = create_app(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane)
    yield app
    client_of(app).close()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser that has not been there yet."""
    return app.test_client()


@pytest.fixture
def held_app(store: LmdbStore, clock: FakeClock) -> Flask:
    """The application on the direct lane, at a time that the test holds."""
    return with_client(create_app(COATCHECK_HOME=str(store.settings.home)), store, clock)


def client_of(app: Flask) -> SessionClient:
    """The client behind an application."""
    client: SessionClient = app.extensions["coatcheck"].client
    return client


def with_client(app: Flask, store: LmdbStore, clock: FakeClock, **settings: Any) -> Flask:
    """The same application over this store, which goes by this clock."""
    app.extensions["coatcheck"].client = SessionClient(store.settings, store=store, clock=clock)
    return app


def cookie_of(browser: FlaskClient, name: str = "__Host-id") -> str:
    """The token that the browser holds."""
    cookie = browser.get_cookie(name)
    assert cookie is not None
    return cookie.value


def give(browser: FlaskClient, token: str, name: str = "__Host-id") -> None:
    """Put a token into the browser."""
    browser.set_cookie(name, token)
