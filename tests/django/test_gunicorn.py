"""Two workers of twelve threads under gunicorn, on both lanes: M1 to M7 of the field, and what is worse."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import coatcheck
from coatcheck.client import SessionClient
from coatcheck.testing import together
from tests.django.served import Visitor, served
from tests.flask.gunicorn import WriterGateHeld
from tests.support.require import require
from tests.system.running import RunningSystem, until


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """An actor system."""
    with RunningSystem(tmp_path_factory.mktemp("system") / "state") as running:
        yield running


@pytest.fixture(scope="module", params=["direct", "actor", "stock"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: Path
) -> Iterator[tuple[int, Path, str]]:
    """The port of the server, the state directory, and what is different; ``stock`` is Django's own middleware."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    home = tmp_path_factory.mktemp("served") / "state"
    if request.param == "actor":
        home = request.getfixturevalue("system").home
    middleware = "stock" if request.param == "stock" else "ours"
    lane = "actor" if request.param == "actor" else "direct"
    with served(home, database, lane=lane, middleware=middleware) as port:
        yield port, home, request.param


@pytest.fixture
def home(server: tuple[int, Path, str]) -> Path:
    """The state directory of the server."""
    return server[1]


@pytest.fixture
def store(home: Path) -> Iterator[SessionClient]:
    """The state directory of the server, looked at from outside."""
    with coatcheck.connect(home) as client:
        yield client


@pytest.fixture
def browser(server: tuple[int, Path, str]) -> Visitor:
    """A visitor with a session."""
    browser = Visitor(server[0])
    assert browser.get("/put", a=1).status == 200
    return browser


@pytest.fixture
def ours(server: tuple[int, Path, str]) -> bool:
    """Whether our middleware is at work."""
    return server[2] != "stock"


def workers(browser: Visitor) -> set[int]:
    """The processes that answer, as soon as both do."""
    pids: set[int] = set()

    def both() -> bool:
        pids.add(browser.twin().get("/read").json["pid"])
        return len(pids) > 1

    until(both, "one worker answers everything")
    return pids


def test_twenty_parallel_requests_keep_twenty_keys(browser: Visitor, *, ours: bool) -> None:
    """M1: each has read the session before any of them writes; both workers take part."""
    answers = together(20, lambda number: browser.twin().get("/put", **{f"key{number}": number, "pause": 0.1}))

    assert {answer.status for answer in answers} == {200}
    if ours:
        assert all(answer.set_cookie is None for answer in answers)
    found = browser.get("/read").json["data"]
    assert found == {"a": "1", **{f"key{number}": str(number) for number in range(20)}}
    assert len(workers(browser)) == 2


def test_twenty_parallel_increments_and_appends_add_up(browser: Visitor) -> None:
    """M1 on one key."""
    together(20, lambda number: browser.twin().get("/count", item=number))

    found = browser.get("/read").json["data"]
    assert found["count"] == 20
    assert sorted(map(int, found["seen"])) == list(range(20))


def test_twenty_parallel_messages_are_shown_once_each(browser: Visitor) -> None:
    """M2: with ``django.contrib.messages`` as it is; while they come in, others show them."""

    def visit(number: int) -> list[str]:
        tab = browser.twin()
        assert tab.get("/push", text=number, pause=0.05).status == 200
        return [text for _, text in tab.get("/show").json["messages"]] if number % 2 else []

    shown = [text for texts in together(20, visit) for text in texts]
    shown += [text for _, text in browser.get("/show").json["messages"]]

    assert sorted(map(int, shown)) == list(range(20))
    assert browser.get("/show").json == {"messages": []}


@pytest.mark.parametrize("does", ["write", "read"])
def test_a_slow_request_does_not_undo_a_logout(
    browser: Visitor, store: SessionClient, tmp_path: Path, does: str, *, ours: bool
) -> None:
    """M3: whether it writes or only reads, the session stays gone and no cookie comes."""
    browser.get("/sign_in", name="ann")
    began, go = tmp_path / "began", tmp_path / "go"
    slow, token = browser.twin(), str(browser.token)

    def overlap(number: int) -> str | None:
        if number == 0:
            answer = slow.get("/slow", began=began, go=go, **({"write": 1} if does == "write" else {}))
            assert answer.status == (200 if ours or does == "read" else 400)
            return answer.set_cookie
        until(began.exists, "the slow request does not begin")
        assert "Max-Age=0" in str(browser.get("/sign_out").set_cookie)
        go.touch()
        return None

    assert together(2, overlap) == [None, None]
    assert store.find(token).reason == "deleted"
    again = Visitor(browser._port, token).get("/read")
    assert (again.json["data"], again.json["sid"]) == ({}, None)


def test_an_invented_and_a_forged_key_are_never_adopted(browser: Visitor, store: SessionClient) -> None:
    """M4: a write under one starts a session with a key of our own; the victim's is not reached."""
    token = str(browser.token)
    forged = token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB")
    for invented in ("attackerchosenid", "A" * len(token), forged, token[:-1], token + "A"):
        assert Visitor(browser._port, invented).get("/read").json["data"] == {}
        attacker = Visitor(browser._port, invented)
        assert attacker.get("/put", b=2).set_cookie is not None
        assert attacker.token not in (None, invented, token)
        assert attacker.get("/read").json["data"] == {"b": "2"}
        assert store.find(invented).reason == "forged"
    assert browser.get("/read").json["data"] == {"a": "1"}


def test_an_untouched_request_has_no_cookie_and_writes_nothing(browser: Visitor, store: SessionClient) -> None:
    """M5: with a session, and without one."""
    token = str(browser.token)
    before, rows = store.find(token).record, store.stats().sessions
    for visitor in (browser, Visitor(browser._port)):
        for path in ("/untouched", "/nowhere"):
            answer = visitor.get(path)
            assert (answer.set_cookie, answer.headers["Vary"]) == (None, None)

    after = store.find(token).record
    assert before is not None
    assert after is not None
    assert after.to_wire() == before.to_wire()
    assert store.stats().sessions == rows


def test_a_reading_request_has_no_cookie_and_writes_nothing(browser: Visitor, store: SessionClient) -> None:
    """M6: within the touch interval nothing is due; Vary says what the answer depends on."""
    token = str(browser.token)
    before = store.find(token).record
    answers = together(20, lambda number: browser.twin().get("/look" if number % 2 else "/read", key="a"))

    assert {(answer.status, answer.set_cookie, answer.headers["Vary"]) for answer in answers} == {(200, None, "Cookie")}
    after = store.find(token).record
    assert before is not None
    assert after is not None
    assert after.to_wire() == before.to_wire()


def test_a_login_retires_the_key_for_all_workers(browser: Visitor, store: SessionClient, *, ours: bool) -> None:
    """Fixation: what was planted before is worth nothing; a second click on "sign in" changes nothing."""
    planted = browser.twin()
    browser.get("/sign_in", name="ann")
    assert browser.get("/who").json["user"] == "ann"
    for _ in range(6):
        answer = planted.twin().get("/sign_in", name="ann")
        assert answer.status == (200 if ours else 400)
        assert "__Host-id" not in str(answer.headers)
        assert planted.twin().get("/who").json["user"] is None
    assert store.find(str(planted.token)).reason == "retired"
    assert browser.get("/who").json["user"] == "ann"


def test_a_writer_that_hangs_never_changes_the_cookie(browser: Visitor, home: Path, *, ours: bool) -> None:
    """M7: writes fail without a cookie, with 503 under our middleware; reads go on; afterwards all is as before."""
    browser.get("/sign_in", name="ann")
    token = browser.token
    assert len(workers(browser)) == 2  # so both have opened the store, for which they had to pass the gate
    with WriterGateHeld(home):
        answers = together(
            6, lambda number: browser.twin().get(("/put", "/push", "/sign_out")[number % 3], b=2, text="x")
        )
        assert {answer.set_cookie for answer in answers} == {None}
        assert {answer.status for answer in answers} == {503 if ours else 500}
        assert browser.get("/look", key="a").json == {"value": "1"}
        assert Visitor(browser._port).get("/put", b=2).status == (503 if ours else 500)

    assert browser.token == token
    assert browser.get("/who").json["user"] == "ann"
    assert browser.get("/show").json == {"messages": []}
    assert browser.get("/put", b=2).status == 200


def test_without_the_actor_system_the_actor_lane_is_an_outage(tmp_path: Path, database: Path) -> None:
    """M7 where nothing can be read: 503 and the same cookie, until the system is back; then all is there again."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    home = tmp_path / "state"
    with served(home, database, lane="actor") as port:
        browser = Visitor(port)
        with RunningSystem(home):
            browser.get("/put", a=1)
            browser.get("/sign_in", name="ann")
            token = browser.token
            assert token is not None
        for path in ("/read", "/put", "/show", "/who", "/sign_out", "/sign_in?name=bob"):
            answer = browser.get(path)
            assert (answer.status, answer.set_cookie, answer.headers["Retry-After"]) == (503, None, "5"), path
        assert browser.get("/untouched").status == 200
        assert browser.token == token
        with RunningSystem(home):
            assert until(lambda: browser.get("/read").status == 200, "it does not recover")
            assert browser.get("/who").json["user"] == "ann"
            assert browser.token == token
