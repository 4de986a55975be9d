"""What visitors see while the store cannot be asked, by each policy; the cookie is never touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask import session as flask_session
from flask.testing import FlaskClient

from coatcheck import Session
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from tests.flask.conftest import client_of, cookie_of
from tests.flask.probe import create_app
from tests.flask.test_failures import Outage, add

WRITING = ("create", "save", "touch", "login", "rotate", "delete", "take_flashes", "restore_flashes")


def with_policy(home: Path, policy: str, lane: str = "direct") -> tuple[Flask, FlaskClient]:
    """The application, and a visitor who is signed in, with a permanent cookie and a flash that waits."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_ON_OUTAGE=policy, COATCHECK_LANE=lane)
    add(app, "/why", lambda: str(outage_of(flask_session)))
    browser = app.test_client()
    browser.get("/put?a=1")
    browser.get("/login?name=ann&permanent=1")
    browser.get("/flash?text=hello")
    return app, browser


def outage_of(session: object) -> object:
    """Why the store could not be asked in this request."""
    assert isinstance(session, Session)
    len(session)
    return session.outage


def assert_as_before(browser: FlaskClient, token: str) -> None:
    """Nobody was signed out, and nothing was lost."""
    assert cookie_of(browser) == token
    found = browser.get("/read").get_json()
    assert {key: found["data"][key] for key in found["data"] if key != "_permanent"} == {"a": "1"}
    assert found["principal"] == "ann"
    assert browser.get("/show").get_json() == {"flashes": [["message", "hello"]]}


def test_anonymous_shows_the_pages_of_guests(lane_home: Path, lane: str) -> None:
    """They can be read and written; nothing of that is kept, and nobody is logged out."""
    app, browser = with_policy(lane_home, "anonymous", lane)
    token = cookie_of(browser)
    with Outage(app):
        for path in ("/read", "/put?b=2", "/flash?text=x", "/show"):
            answer = browser.get(path)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False), path
        assert browser.get("/read").get_json()["data"] == {}
        assert "lunch" in browser.get("/why").text

        fresh = app.test_client().get("/put?a=1")
        assert (fresh.status_code, "Set-Cookie" in fresh.headers) == (200, False)

    assert client_of(app).counters["dropped"] == 3
    assert browser.get("/why").text == "None"
    assert_as_before(browser, token)
    client_of(app).close()


@pytest.mark.parametrize("policy", ["anonymous", "read-only"])
@pytest.mark.parametrize("path", ["/login?name=bob", "/logout", "/clear"])
def test_nobody_is_signed_in_or_out_by_a_page_that_only_looks_like_it(home: Path, policy: str, path: str) -> None:
    """A 503 instead, whether the session could be loaded or not."""
    app, browser = with_policy(home, policy)
    token = cookie_of(browser)
    for verbs in (WRITING, (*WRITING, "load", "find")):
        with Outage(app, verbs):
            answer = browser.get(path)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)

    assert_as_before(browser, token)
    client_of(app).close()


def test_read_only_serves_what_can_be_read(lane_home: Path, lane: str) -> None:
    """The page leaves as the view made it; what it wrote is dropped."""
    app, browser = with_policy(lane_home, "read-only", lane)
    token = cookie_of(browser)
    with Outage(app, WRITING):
        for path in ("/read", "/put?b=2", "/flash?text=x", "/show"):
            answer = browser.get(path)
            assert answer.status_code == 200, path
            if path in {"/put?b=2", "/flash?text=x"}:
                assert "Set-Cookie" not in answer.headers
        assert browser.get("/read").get_json()["principal"] == "ann"
    with Outage(app):
        assert browser.get("/read").status_code == 503

    assert client_of(app).counters["dropped"] == 2
    assert_as_before(browser, token)
    client_of(app).close()


def test_read_only_with_a_writer_that_holds_the_gate(home: Path) -> None:
    """The real gate, held by somebody else."""
    app, browser = with_policy(home, "read-only")
    client_of(app).close()
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_ON_OUTAGE="read-only", COATCHECK_GATE_TIMEOUT=0.05)
    later = app.test_client()
    later.set_cookie("__Host-id", cookie_of(browser))
    assert later.get("/read").status_code == 200
    gate = WriterGate(home / WRITER)
    assert gate.enter()
    try:
        assert later.get("/put?b=2").status_code == 200
        assert later.get("/logout").status_code == 503
    finally:
        gate.leave()
        gate.close()

    assert_as_before(later, cookie_of(browser))
    client_of(app).close()
