"""Two workers of twelve threads under gunicorn, on both lanes: what other session libraries lose is kept."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

import coatcheck
from coatcheck.client import SessionClient
from coatcheck.testing import together
from tests.flask.gunicorn import Browser, WriterGateHeld, gunicorn, workers
from tests.support.require import require
from tests.system.running import RunningSystem, until


@pytest.fixture(scope="module", params=["direct", "direct preloaded", "actor", "actor preloaded"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of the server, and the state directory."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    lane, _, preload = request.param.partition(" ")
    home = tmp_path_factory.mktemp("served") / "state"
    if lane == "actor":
        home = request.getfixturevalue("system").home
    with gunicorn(home, lane, preload=bool(preload)) as port:
        yield port, home


@pytest.fixture
def home(served: tuple[int, Path]) -> Path:
    """The state directory of the server."""
    return served[1]


@pytest.fixture
def store(home: Path) -> Iterator[SessionClient]:
    """The state directory of the server, looked at from outside."""
    with coatcheck.connect(home) as client:
        yield client


@pytest.fixture
def browser(served: tuple[int, Path]) -> Browser:
    """A visitor with a session."""
    browser = Browser(served[0])
    browser.get("/put", a=1)
    return browser


def test_twenty_parallel_requests_keep_twenty_keys(browser: Browser) -> None:
    """M1: each has read the session before any of them writes; both workers take part."""
    answers = together(20, lambda number: browser.twin().get("/put", **{f"key{number}": number, "pause": 0.1}))

    assert {answer.status for answer in answers} == {200}
    assert all(answer.set_cookie is None for answer in answers)
    found = browser.get("/read").json["data"]
    assert found == {"a": "1", **{f"key{number}": str(number) for number in range(20)}}
    assert len(workers(browser)) == 2


def test_twenty_parallel_increments_and_appends_add_up(browser: Browser) -> None:
    """M1 on one key: increments and appends are applied where the data is."""
    together(20, lambda number: browser.twin().get("/count", item=number))

    found = browser.get("/read").json["data"]
    assert found["count"] == 20
    assert sorted(map(int, found["seen"])) == list(range(20))


def test_twenty_parallel_flashes_are_shown_once_each(browser: Browser) -> None:
    """M2: with ``flask.flash`` as it is; while they come in, others show them."""

    def visit(number: int) -> list[str]:
        tab = browser.twin()
        assert tab.get("/flash", text=number, pause=0.05).status == 200
        return [text for _, text in tab.get("/show").json["flashes"]] if number % 2 else []

    shown = [text for texts in together(20, visit) for text in texts]
    shown += [text for _, text in browser.get("/show").json["flashes"]]

    assert sorted(map(int, shown)) == list(range(20))
    assert browser.get("/show").json == {"flashes": []}


@pytest.mark.parametrize("does", ["write", "read"])
def test_a_slow_request_does_not_undo_a_logout(
    browser: Browser, store: SessionClient, tmp_path: Path, does: str
) -> None:
    """M3: whether it writes or only reads, the session stays gone and no cookie comes."""
    began, go = tmp_path / "began", tmp_path / "go"
    slow, token = browser.twin(), browser.token
    assert token is not None

    def overlap(number: int) -> str | None:
        if number == 0:
            more = {"write": 1} if does == "write" else {}
            answer = slow.get("/slow", began=began, go=go, **more)
            assert answer.status == 200
            return answer.set_cookie
        until(began.exists, "the slow request does not begin")
        assert str(browser.get("/logout").set_cookie).startswith("__Host-id=; Expires=Thu, 01 Jan 1970")
        go.touch()
        return None

    assert together(2, overlap) == [None, None]
    assert store.find(token).reason == "deleted"
    again = Browser(browser._port, token).get("/read")
    assert (again.json["data"], again.json["sid"]) == ({}, None)


def test_an_invented_and_a_forged_token_are_never_adopted(browser: Browser, store: SessionClient) -> None:
    """M4: a write under one starts a session with a token of our own; the sid of the victim is not reached."""
    token = str(browser.token)
    forged = token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB")
    for invented in ("attackerchosenid", "A" * len(token), forged, token[:-1], token + "A"):
        attacker = Browser(browser._port, invented)
        assert attacker.get("/read").json["data"] == {}
        attacker = Browser(browser._port, invented)
        answer = attacker.get("/put", b=2)
        assert answer.set_cookie is not None
        assert attacker.token not in (None, invented, token)
        assert attacker.get("/read").json["data"] == {"b": "2"}
        assert store.find(invented).reason == "forged"
    assert browser.get("/read").json["data"] == {"a": "1"}


def test_an_untouched_request_has_no_cookie_and_writes_nothing(browser: Browser, store: SessionClient) -> None:
    """M5: with a session, and without one; static files too."""
    token = str(browser.token)
    before, rows = store.find(token), store.stats().sessions
    for visitor in (browser, Browser(browser._port)):
        for path in ("/untouched", "/static/probe.py", "/static/nothing", "/nowhere"):
            answer = visitor.get(path)
            assert (answer.set_cookie, answer.headers["Vary"]) == (None, None)

    after = store.find(token)
    assert before.record is not None
    assert after.record is not None
    assert after.record.to_wire() == before.record.to_wire()
    assert store.stats().sessions == rows


def test_a_reading_request_has_no_cookie_and_writes_nothing(browser: Browser, store: SessionClient) -> None:
    """M6: within the touch interval nothing is due; Vary says what the answer depends on."""
    token = str(browser.token)
    before = store.find(token).record
    assert before is not None
    answers = together(20, lambda number: browser.twin().get("/look" if number % 2 else "/read", key="a"))

    assert {(answer.status, answer.set_cookie, answer.headers["Vary"]) for answer in answers} == {(200, None, "Cookie")}
    after = store.find(token).record
    assert after is not None
    assert after.to_wire() == before.to_wire()


def test_a_login_retires_the_token_for_all_workers(browser: Browser, store: SessionClient) -> None:
    """Fixation: what was planted before is worth nothing; the second click on "sign in" changes nothing."""
    planted = browser.twin()
    browser.get("/login", name="ann")
    assert browser.get("/read").json["principal"] == "ann"
    for _ in range(8):
        answer = planted.twin().get("/login", name="ann")
        assert answer.set_cookie is None
        assert planted.twin().get("/read").json["principal"] is None
    assert store.find(str(planted.token)).reason == "retired"
    assert browser.get("/read").json["principal"] == "ann"


def test_a_worker_that_is_killed_loses_nothing(browser: Browser) -> None:
    """``kill -9`` in the middle of a storm of writes: what was confirmed is there."""
    confirmed: list[int] = []

    def write(number: int) -> None:
        if number == 0:
            until(lambda: len(confirmed) > 20, "nothing is confirmed")
            os.kill(browser.twin().get("/read").json["pid"], signal.SIGKILL)
            return
        for step in range(20):
            key = number * 100 + step
            with suppress(OSError, HTTPException):  # the connection goes down with the worker
                if browser.twin().get("/put", **{f"key{key}": 1}).status == 200:
                    confirmed.append(key)

    together(8, write, timeout=60)

    found = browser.get("/read").json["data"]
    assert {f"key{key}" for key in confirmed} <= set(found)


def test_an_outage_never_changes_the_cookie(browser: Browser, home: Path) -> None:
    """M7: a writer that hangs makes writes 503 without a cookie; reads go on; afterwards all is as before."""
    token = browser.token
    assert len(workers(browser)) == 2  # so both have opened the store, for which they had to pass the gate
    with WriterGateHeld(home):
        answers = together(
            6, lambda number: browser.twin().get(("/put", "/flash", "/logout")[number % 3], b=2, text="lost")
        )
        assert {(answer.status, answer.set_cookie) for answer in answers} == {(503, None)}
        assert browser.get("/read").json["data"] == {"a": "1"}
        assert Browser(browser._port).get("/put", b=2).status == 503

    assert browser.token == token
    assert browser.get("/read").json["data"] == {"a": "1"}
    assert browser.get("/show").json == {"flashes": []}
    assert browser.get("/put", b=2).status == 200


def test_without_the_actor_system_the_actor_lane_is_an_outage(tmp_path: Path) -> None:
    """M7 on the actor lane: 503 and the same cookie, until the system is back; then the session is there again."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    home = tmp_path / "state"
    with gunicorn(home, "actor") as port:
        browser = Browser(port)
        with RunningSystem(home):
            browser.get("/put", a=1)
            token = browser.token
            assert token is not None
        for path in ("/read", "/put", "/show", "/logout"):
            answer = browser.get(path)
            assert (answer.status, answer.set_cookie) == (503, None)
        assert browser.get("/untouched").status == 200
        assert browser.token == token
        with RunningSystem(home):
            assert until(lambda: browser.get("/read").status == 200, "it does not recover")
            assert browser.get("/read").json["data"] == {"a": "1"}
            assert browser.token == token
