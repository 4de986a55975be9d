"""What other session libraries lose is kept: FIELD's seven cases and the races of cookies, over HTTP.

For any probing application in two workers; a test class says which, and under which server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import coatcheck
from coatcheck.client import SessionClient
from coatcheck.testing import together
from tests.flask.gunicorn import Answer, Browser, WriterGateHeld, workers
from tests.system.running import until

REQUESTS = int(os.environ.get("COATCHECK_ISOLATION_REQUESTS", "1600"))
"""Requests of the test of isolation; 20,000 for a long look."""


RACES = pytest.mark.parametrize("browser", range(int(os.environ.get("COATCHECK_RACES", "1"))), indirect=True)
"""How often each race is run, with a new visitor each time; 1,000 times for a long look."""


class Promises:
    """The tests. The fixture ``served`` is the port of the server and its state directory."""

    server: str
    """``uvicorn`` or ``gunicorn``."""

    factory: str
    """What makes the application, like ``tests.asgi.probe:starlette_app``."""

    lane = "direct"
    """How its workers reach the store."""

    @pytest.fixture
    def home(self, served: tuple[int, Path]) -> Path:
        """The state directory of the server."""
        return served[1]

    @pytest.fixture
    def store(self, home: Path) -> Iterator[SessionClient]:
        """The state directory of the server, looked at from outside."""
        with coatcheck.connect(home) as client:
            yield client

    @pytest.fixture
    def browser(self, served: tuple[int, Path]) -> Browser:
        """A visitor with a session."""
        browser = Browser(served[0])
        browser.get("/put", a=1)
        return browser

    def test_twenty_parallel_requests_keep_twenty_keys(self, browser: Browser) -> None:
        """M1: each has read the session before any of them writes; both workers take part."""
        workers(browser)
        answers = together(20, lambda number: browser.twin().get("/put", **{f"key{number}": number, "pause": 0.1}))

        assert {answer.status for answer in answers} == {200}
        assert all(answer.set_cookie is None for answer in answers)
        found = browser.get("/read").json["data"]
        assert found == {"a": "1", **{f"key{number}": str(number) for number in range(20)}}

    def test_twenty_parallel_increments_and_appends_add_up(self, browser: Browser) -> None:
        """M1 on one key."""
        together(20, lambda number: browser.twin().get("/count", item=number))

        found = browser.get("/read").json["data"]
        assert found["count"] == 20
        assert sorted(map(int, found["seen"])) == list(range(20))

    def test_twenty_parallel_flashes_are_shown_once_each(self, browser: Browser) -> None:
        """M2: while they come in, others show them."""

        def visit(number: int) -> list[str]:
            tab = browser.twin()
            assert tab.get("/flash", text=number, pause=0.05).status == 200
            found: list[str] = tab.get("/show").json["flashes"] if number % 2 else []
            return found

        shown = [text for texts in together(20, visit) for text in texts]
        shown += browser.get("/show").json["flashes"]

        assert sorted(map(int, shown)) == list(range(20))
        assert browser.get("/show").json == {"flashes": []}

    @pytest.mark.parametrize("does", ["write", "read"])
    def test_a_slow_request_does_not_undo_a_logout(
        self, browser: Browser, store: SessionClient, tmp_path: Path, does: str
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

    def test_an_invented_and_a_forged_token_are_never_adopted(self, browser: Browser, store: SessionClient) -> None:
        """M4: a write under one starts a session with a token of our own, and the invented one is not reflected."""
        token = str(browser.token)
        forged = token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB")
        for invented in ("attackerchosenid", "A" * len(token), forged, token[:-1], token + "A"):
            answer = Browser(browser._port, invented).get("/read")
            assert answer.json["data"] == {}
            assert invented not in str(answer.headers)
            attacker = Browser(browser._port, invented)
            answer = attacker.get("/put", b=2)
            assert answer.set_cookie is not None
            assert attacker.token not in (None, invented, token)
            assert attacker.get("/read").json["data"] == {"b": "2"}
            assert store.find(invented).reason == "forged"
        assert browser.get("/read").json["data"] == {"a": "1"}

    def test_an_untouched_request_has_no_cookie_and_writes_nothing(
        self, browser: Browser, store: SessionClient
    ) -> None:
        """M5: with a session, and without one; for a page that is not there too."""
        token = str(browser.token)
        before, rows = store.find(token), store.stats().sessions
        for visitor in (browser, Browser(browser._port)):
            for path in ("/untouched", "/untouched/nowhere"):
                answer = visitor.get(path)
                assert (answer.set_cookie, answer.headers["Vary"]) == (None, None)

        after = store.find(token)
        assert before.record is not None
        assert after.record is not None
        assert after.record.to_wire() == before.record.to_wire()
        assert store.stats().sessions == rows

    def test_a_reading_request_has_no_cookie_and_writes_nothing(self, browser: Browser, store: SessionClient) -> None:
        """M6: within the touch interval nothing is due; Vary says what the answer depends on, for `in` and len too."""
        before = store.find(str(browser.token)).record
        assert before is not None
        how = ("get", "in", "len")
        answers = together(
            20, lambda number: browser.twin().get("/look" if number % 4 else "/read", key="a", how=how[number % 3])
        )

        found = {(answer.status, answer.set_cookie, answer.headers["Vary"]) for answer in answers}
        assert found == {(200, None, "Cookie")}
        after = store.find(str(browser.token)).record
        assert after is not None
        assert after.to_wire() == before.to_wire()

    def test_an_outage_never_changes_the_cookie(self, browser: Browser, home: Path) -> None:
        """M7: a writer that hangs makes writes 503 without a cookie; reads go on; afterwards all is as before."""
        token = browser.token
        workers(browser)  # so both have opened the store, for which they had to pass the gate
        with WriterGateHeld(home):
            answers = together(
                6, lambda number: browser.twin().get(("/put", "/flash", "/logout")[number % 3], b=2, text="lost")
            )
            assert {(answer.status, answer.set_cookie) for answer in answers} == {(503, None)}
            assert {answer.headers["Retry-After"] for answer in answers} == {"5"}
            assert browser.get("/read").json["data"] == {"a": "1"}
            assert Browser(browser._port).get("/put", b=2).status == 503

        assert browser.token == token
        assert browser.get("/read").json["data"] == {"a": "1"}
        assert browser.get("/show").json == {"flashes": []}
        assert browser.get("/put", b=2).status == 200

    # A request that fails --------------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", [500, 503, 400])
    def test_an_answer_that_fails_changes_nothing(self, browser: Browser, status: int) -> None:
        """From 500 on: its flashes are given back, its own are not kept. Below, it is an answer like any other."""
        browser.get("/flash", text="kept")
        assert browser.get("/fail", status=status).status == status

        data, flashes = browser.get("/read").json["data"], browser.get("/show").json["flashes"]
        if status < 500:
            assert (data, flashes) == ({"a": "1", "failed": 1}, ["own"])
        else:
            assert (data, flashes) == ({"a": "1"}, ["kept"])

    # The races of cookies --------------------------------------------------------------------------------------

    @RACES
    @pytest.mark.parametrize("first", [0, 1])
    def test_two_logins_at_once(self, browser: Browser, first: int) -> None:
        """Two clicks on "sign in": whichever answer comes last, the browser holds the token that works."""
        tabs = [browser.twin(), browser.twin()]
        answers = together(
            2, lambda number: tabs[number].get("/login", name="ann", pause=0.1 if number == first else 0.0)
        )

        keep_in_order(browser, [answers[1 - first], answers[first]])
        found = browser.get("/read").json
        assert (found["principal"], found["data"]) == ("ann", {"a": "1"})

    @RACES
    @pytest.mark.parametrize("last", ["login", "put"])
    def test_a_login_beside_a_request_that_writes(self, browser: Browser, last: str, tmp_path: Path) -> None:
        """In both orders of their answers the browser ends with the new token, and the login stands."""
        began, go = tmp_path / "began", tmp_path / "go"
        beside = browser.twin()

        def overlap(number: int) -> Answer:
            if number == 0:
                return beside.get("/slow", began=began, go=go, write=1)
            until(began.exists, "the slow request does not begin")
            answer = browser.twin().get("/login", name="ann")
            go.touch()
            return answer

        slow, login = together(2, overlap)
        keep_in_order(browser, [slow, login] if last == "login" else [login, slow])

        assert slow.set_cookie is None
        assert browser.get("/read").json["principal"] == "ann"

    @RACES
    @pytest.mark.parametrize("first", [0, 1])
    def test_two_renewals_at_once(self, browser: Browser, first: int) -> None:
        """One of them has renewed the token, the other leaves the cookie alone."""
        answers = together(
            2, lambda number: browser.twin().get("/renew", grace=10, pause=0.1 if number == first else 0.0)
        )
        assert sorted(answer.set_cookie is None for answer in answers) == [False, True]

        keep_in_order(browser, [answers[1 - first], answers[first]])
        assert browser.get("/put", b=2).set_cookie is None
        assert browser.get("/read").json["data"] == {"a": "1", "b": "2"}

    def test_a_token_in_grace_writes_and_sends_no_cookie(self, browser: Browser) -> None:
        """A request that was under way during the renewal: what it writes is kept, its answer brings no token."""
        old = browser.twin()
        browser.get("/renew", grace=10)
        assert old.token != browser.token
        answer = old.get("/put", b=2)

        assert (answer.status, answer.set_cookie) == (200, None)
        assert browser.get("/read").json["data"] == {"a": "1", "b": "2"}

    @RACES
    def test_a_login_after_a_renewal_ends_the_grace(self, browser: Browser) -> None:
        """T0 renewed with grace to T1, then a login under T1: neither T0 nor T1 opens anything any more."""
        before = browser.twin()
        browser.get("/renew", grace=60)
        renewed = browser.twin()
        browser.get("/login", name="ann")

        for refused in (before, renewed):
            answer = refused.twin().get("/read")
            assert (answer.json["principal"], answer.json["data"], answer.set_cookie) == (None, {}, None)
            assert refused.twin().get("/put", b=2).set_cookie is None
        assert browser.get("/read").json["principal"] == "ann"
        assert browser.get("/read").json["data"] == {"a": "1"}

    # Isolation -------------------------------------------------------------------------------------------------

    def test_everybody_sees_his_own(self, served: tuple[int, Path]) -> None:
        """200 users on 8 threads and 2 workers; each answer has the mark of the one who asked."""
        users = 200

        def signed_in(number: int) -> Browser:
            browser = Browser(served[0])
            browser.get("/put", mark=f"mark-{number}")
            browser.get("/login", name=f"user-{number}")
            return browser

        parts = together(8, lambda part: [(number, signed_in(number)) for number in range(part, users, 8)])
        browsers = dict(each for part in parts for each in part)

        def visit(part: int) -> int:
            wrong = 0
            for step in range(REQUESTS // 8):
                number = (part + step * 7) % users
                found = browsers[number].twin().get("/read").json
                wrong += (found["data"]["mark"], found["principal"]) != (f"mark-{number}", f"user-{number}")
            return wrong

        assert together(8, visit, timeout=600) == [0] * 8


def keep_in_order(browser: Browser, answers: list[Answer]) -> None:
    """The browser gets these answers, in this order."""
    for answer in answers:
        browser._keep(answer.set_cookie)
