"""Requests that fail, and stores that cannot be asked: nothing half done, and nobody logged out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, flash, get_flashed_messages
from flask import session as flask_session
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException

from coatcheck import SessionConflict, Set, StoreUnavailable
from coatcheck.flask import CoatcheckSessionInterface
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from tests.flask.conftest import client_of, cookie_of
from tests.flask.probe import create_app

VERBS = ("load", "find", "create", "save", "touch", "login", "rotate", "delete", "take_flashes", "restore_flashes")


class Outage:
    """The store of an application out of reach, while the block lasts."""

    def __init__(self, app: Flask, verbs: tuple[str, ...] = VERBS) -> None:
        self._store: Any = client_of(app).store
        self._verbs = verbs

    def __enter__(self) -> None:
        for verb in self._verbs:
            setattr(self._store, verb, self._fail)

    def __exit__(self, *_: object) -> None:
        for verb in self._verbs:
            delattr(self._store, verb)

    @staticmethod
    def _fail(*_: object, **__: object) -> None:
        msg = "the store is having its lunch"
        raise StoreUnavailable(msg)


@pytest.fixture
def visitor(browser: FlaskClient) -> FlaskClient:
    """A browser that is signed in and has a flash waiting."""
    browser.get("/put?a=1")
    browser.get("/login?name=ann")
    browser.get("/flash?text=hello")
    return browser


def add(app: Flask, rule: str, view: Any) -> None:
    """One more page, even when there were requests already."""
    app._got_first_request = False
    app.add_url_rule(rule, rule, view)


def handle(app: Flask, error: Any, handler: Any) -> None:
    """One more error handler, likewise."""
    app._got_first_request = False
    app.register_error_handler(error, handler)


# Outages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("testing", [False, True])
@pytest.mark.parametrize(
    "path", ["/read", "/look?key=a", "/put?b=1", "/flash?text=x", "/show", "/logout", "/clear", "/login?name=ann"]
)
def test_a_store_out_of_reach_is_a_503_and_logs_nobody_out(
    app: Flask, visitor: FlaskClient, path: str, testing: bool
) -> None:
    """Said with Retry-After; the cookie is not touched, and afterwards everything is as it was."""
    app.testing = testing
    token = cookie_of(visitor)
    with Outage(app):
        answer = visitor.get(path)
        assert answer.status_code == 503
        assert "Set-Cookie" not in answer.headers
        assert int(answer.headers["Retry-After"]) > 0
        assert "lunch" not in answer.text
        assert visitor.get("/untouched").status_code == 200

    assert cookie_of(visitor) == token
    found = visitor.get("/read").get_json()
    assert (found["data"], found["principal"]) == ({"a": "1"}, "ann")
    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"]]}


@pytest.mark.parametrize("path", ["/put?b=1", "/flash?text=x", "/logout", "/clear", "/login?name=ann"])
def test_a_commit_that_fails_takes_the_answer_back(app: Flask, visitor: FlaskClient, path: str) -> None:
    """A page that says "stored" must not leave when nothing was: it is a 503 instead, without cookie."""
    token = cookie_of(visitor)
    with Outage(app, ("create", "save", "login", "rotate", "delete")):
        answer = visitor.get(path)

    assert answer.status_code == 503
    assert "stored" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Vary"] == "Cookie"
    assert cookie_of(visitor) == token
    assert visitor.get("/read").get_json()["data"] == {"a": "1"}


def test_the_first_write_of_a_visitor_fails_too(app: Flask, browser: FlaskClient) -> None:
    """No cookie for a session that was not stored."""
    with Outage(app):
        answer = browser.get("/put?a=1")

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)


def test_a_touch_that_fails_is_nobodys_business(held_app: Flask, clock: Any) -> None:
    """Nothing was to be written but the time."""
    browser = held_app.test_client()
    browser.get("/put?a=1")
    clock.advance(61)
    gate = WriterGate(client_of(held_app).settings.home / WRITER)
    assert gate.enter()
    try:
        assert browser.get("/look?key=a").status_code == 200
    finally:
        gate.leave()
        gate.close()


def test_applications_answer_outages_in_their_own_way(home: Path) -> None:
    """With a page for 503, or a handler for StoreUnavailable, both when the session is used and when it is stored."""
    app = create_app(COATCHECK_HOME=str(home))
    handle(app, 503, lambda error: (f"our page, {error.code}", 503))
    browser = app.test_client()
    browser.get("/put?a=1")
    with Outage(app):
        assert browser.get("/read").text == "our page, 503"
    with Outage(app, ("save",)):
        assert browser.get("/put?b=1").text == "our page, 503"
    client_of(app).close()

    app = create_app(COATCHECK_HOME=str(home))
    handle(app, StoreUnavailable, lambda _: ("ours alone", 599))
    browser = app.test_client()
    browser.get("/put?a=1")
    with Outage(app):
        assert browser.get("/read").status_code == 599
    with Outage(app, ("save",)):
        assert browser.get("/put?b=1").text == "ours alone"
    client_of(app).close()


def test_flask_may_take_the_context_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does from version 3.2 on, in the methods that handle errors."""
    app = create_app(COATCHECK_HOME=str(home))
    contexts = []
    for name in ("handle_user_exception", "handle_http_exception"):
        method = getattr(app, name)

        def later(ctx: Any, error: Any = None, method: Any = method) -> Any:
            if error is None:
                ctx, error = None, ctx  # Flask itself, which is still the older one
            else:
                contexts.append(ctx.app)
            return method(error)

        monkeypatch.setattr(app, name, later)
    browser = app.test_client()
    browser.get("/put?a=1")
    with Outage(app, ("save",)):
        assert browser.get("/put?b=1").status_code == 503
    assert contexts == [app, app]
    client_of(app).close()


def test_an_error_page_that_uses_the_session_does_not_make_it_worse(home: Path) -> None:
    """Templates with a user name at the top: the plain 503 steps in."""
    app = create_app(COATCHECK_HOME=str(home))
    handle(app, HTTPException, lambda error: (f"for {flask_session.get('a')}", error.code or 500))
    browser = app.test_client()
    browser.get("/put?a=1")
    assert browser.get("/nowhere").text == "for 1"
    with Outage(app):
        assert browser.get("/read").status_code == 503
    with Outage(app, ("save",)):
        assert browser.get("/put?b=1").text == "for 1"
    client_of(app).close()


def test_session_transaction_raises(app: Flask, visitor: FlaskClient) -> None:
    """A test must not go on as if its preparations were stored."""
    with Outage(app, ("save",)), pytest.raises(StoreUnavailable), visitor.session_transaction() as session:
        session["b"] = 1


# Requests that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("propagate", [False, True])
def test_an_exception_undoes_the_request(app: Flask, visitor: FlaskClient, propagate: bool) -> None:
    """Nothing is stored, and the flashes that were taken are given back, whoever answers in the end."""
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    if propagate:
        with pytest.raises(LookupError):
            visitor.get("/fail")
    else:
        answer = visitor.get("/fail")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (500, False)

    assert visitor.get("/read").get_json()["data"] == {"a": "1"}
    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"]]}


def test_something_worse_than_an_exception_undoes_it_too(app: Flask, visitor: FlaskClient) -> None:
    """Such as the SystemExit of a worker that took too long."""

    def view() -> str:
        get_flashed_messages()
        raise SystemExit

    add(app, "/exit", view)
    with pytest.raises(SystemExit):
        visitor.get("/exit")

    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"]]}


def test_the_error_page_has_a_session_of_its_own(app: Flask, visitor: FlaskClient) -> None:
    """What it writes counts; what the failed view wrote does not."""

    def sorry(_: Exception) -> tuple[str, int]:
        flash("sorry")
        flask_session["sorry"] = flask_session.get("failed", "not stored")
        return "sorry", 500

    handle(app, 500, sorry)
    assert visitor.get("/fail").text == "sorry"

    assert visitor.get("/read").get_json()["data"] == {"a": "1", "sorry": "not stored"}
    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"], ["message", "sorry"]]}


@pytest.mark.parametrize("status", [404, 403, 429])
def test_a_handled_error_is_committed(app: Flask, visitor: FlaskClient, status: int) -> None:
    """As Flask does: ``abort(404)`` is an answer."""
    assert visitor.get(f"/fail?status={status}").status_code == status

    assert visitor.get("/read").get_json()["data"] == {"a": "1", "failed": 1}
    assert visitor.get("/show").get_json() == {"flashes": [["message", "own"]]}


@pytest.mark.parametrize("status", [500, 503])
def test_flashes_do_not_count_as_shown_by_an_error_of_the_server(app: Flask, visitor: FlaskClient, status: int) -> None:
    """The answer is committed, for it is one; the flashes come again."""
    assert visitor.get(f"/fail?status={status}").status_code == status

    assert visitor.get("/read").get_json()["data"] == {"a": "1", "failed": 1}
    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"], ["message", "own"]]}


def test_what_cannot_be_stored_is_an_error_of_the_application(app: Flask, visitor: FlaskClient) -> None:
    """A 500 that stores nothing, or what the application's own handler makes of it; the text names the key."""

    def view() -> str:
        get_flashed_messages()
        flask_session["b"] = 1
        flask_session["thing"] = object()
        return "stored"

    add(app, "/bad", view)
    answer = visitor.get("/bad")
    assert (answer.status_code, "stored" in answer.text) == (500, False)
    assert visitor.get("/read").get_json()["data"] == {"a": "1"}

    handle(app, TypeError, lambda error: (str(error), 422))
    answer = visitor.get("/bad")
    assert answer.status_code == 422
    assert "thing" in answer.text
    assert visitor.get("/show").get_json() == {"flashes": [["message", "hello"]]}


def test_a_conflict_can_be_answered(home: Path) -> None:
    """``on_conflict = "reject"``: the application's handler says 409, and the other one's data stays."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_ON_CONFLICT="reject")
    handle(app, SessionConflict, lambda _: ("again, please", 409))
    browser = app.test_client()
    browser.get("/put?a=1")

    def view() -> str:
        flask_session["a"] = 2
        client_of(app).save(cookie_of(browser), [Set("a", 3)])
        return "stored"

    add(app, "/conflict", view)
    answer = browser.get("/conflict")

    assert (answer.status_code, answer.text) == (409, "again, please")
    assert browser.get("/read").get_json()["data"] == {"a": 3}
    client_of(app).close()


def test_a_stream_whose_session_cannot_be_stored_is_closed(app: Flask, visitor: FlaskClient) -> None:
    """The answer is replaced before it begins, and what it was made of is let go."""
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[str]:
            yield "never sent"

        def close(self) -> None:
            closed.append(True)

    def view() -> Response:
        flask_session["b"] = 1
        return Response(Pieces())

    add(app, "/pieces", view)
    with Outage(app, ("save",)):
        answer = visitor.get("/pieces")

    assert answer.status_code == 503
    assert "never sent" not in answer.text
    assert closed == [True]


def test_the_session_interface_alone_gives_flashes_back(home: Path, app: Flask) -> None:
    """Without the extension there is no page for outages, but a failed request is undone all the same."""
    bare = Flask("bare")
    bare.session_interface = CoatcheckSessionInterface(client_of(app))
    add(bare, "/flash", lambda: str(flash("hello")))  # type: ignore[func-returns-value]
    add(bare, "/fail", lambda: get_flashed_messages() and 1 / 0)
    add(bare, "/show", lambda: {"flashes": get_flashed_messages()})
    browser = bare.test_client()
    browser.get("/flash")
    assert browser.get("/fail").status_code == 500

    assert browser.get("/show").get_json() == {"flashes": ["hello"]}
