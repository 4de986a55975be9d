"""The dashboard in this process, on a small store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import coatcheck
from coatcheck.admin.dashboard.app import create_app
from coatcheck.admin.dashboard.desk import Desk
from coatcheck.admin.dashboard.doors import Doors
from coatcheck.admin.dashboard.headers import Hosts
from coatcheck.admin.dashboard.links import Links

SECRET = "no-page-shows-this-value"


@pytest.fixture
def client(home: Path) -> Iterator[coatcheck.SessionClient]:
    """The store as an application has it."""
    with coatcheck.connect(home) as client:
        yield client


@pytest.fixture
def anna(client: coatcheck.SessionClient) -> str:
    """The token of a session of anna, with data that nobody else may see."""
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    token, _ = client.create({"secret": SECRET}, meta={"ip": "203.0.113.9", "user_agent": agent})
    token, _ = client.login(token, "anna")
    return token


@pytest.fixture
def doors(home: Path, client: coatcheck.SessionClient) -> Doors:
    """The ways in."""
    client.stats()  # makes the state directory
    return Doors(home, Links(home))


@pytest.fixture
def app(client: coatcheck.SessionClient, doors: Doors) -> Any:
    """The application."""
    return create_app(Desk(client), doors, Hosts("127.0.0.1"))


@pytest.fixture
def stranger(app: Any) -> Iterator[TestClient]:
    """A browser that has not signed in."""
    with TestClient(app, base_url="http://127.0.0.1:8929", follow_redirects=False) as browser:
        yield browser


@pytest.fixture
def operator(stranger: TestClient, doors: Doors) -> TestClient:
    """A browser that has signed in by a link."""
    answer = stranger.post("/login", data={"link": doors.links.new("olga")})
    assert answer.status_code == 303, answer.text
    return stranger


def csrf_of(doors: Doors, browser: TestClient) -> str:
    """What the forms of this browser carry."""
    visit = doors.visits.find(browser.cookies[doors.cookie])
    assert visit is not None
    return visit.csrf
