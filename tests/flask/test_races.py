"""Races of cookies, and who sees whose data: two workers under gunicorn, as often as the environment asks for.

``COATCHECK_RACES`` (1000 for a thorough run) and ``COATCHECK_ISOLATION_REQUESTS`` (20000).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from itertools import permutations
from typing import Final

import pytest

from coatcheck.testing import together
from tests.flask.gunicorn import Answer, Browser, gunicorn
from tests.support.require import require

RUNS: Final = int(os.environ.get("COATCHECK_RACES", "25"))
REQUESTS: Final = int(os.environ.get("COATCHECK_ISOLATION_REQUESTS", "1600"))
USERS: Final = 200
THREADS: Final = 8


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The application in two workers."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    with gunicorn(tmp_path_factory.mktemp("races") / "state", "direct") as found:
        yield found


def visitor(port: int, *, permanent: bool) -> Browser:
    """A browser with a session."""
    browser = Browser(port)
    browser.get("/put", a=1, **({"permanent": 1} if permanent else {}))
    return browser


def both(browser: Browser, *requests: tuple[str, dict[str, object]]) -> list[Answer]:
    """Two requests of one browser at the same moment."""
    return together(2, lambda number: browser.twin().get(requests[number][0], **requests[number][1]))


def outcomes(browser: Browser, answers: list[Answer]) -> list[Browser]:
    """What the browser holds after these answers, for each order in which they may reach it."""
    held = []
    for order in permutations(answers):
        later = browser.twin()
        for answer in order:
            later._keep(answer.set_cookie)
        held.append(later)
    return held


@pytest.mark.timeout(900)
@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize("other", ["/put", "/read", "/untouched", "/flash"])
def test_a_login_beside_another_request(port: int, other: str, permanent: bool) -> None:
    """In whatever order they are served and arrive, the browser ends with the new token, and the login stands."""
    for _ in range(RUNS):
        browser = visitor(port, permanent=permanent)
        sid = browser.get("/read").json["sid"]
        login = {"name": "ann", **({"permanent": 1} if permanent else {})}
        answers = both(browser, ("/login", login), (other, {"b": 2, "text": "x"}))

        assert [answer.status for answer in answers] == [302, 200]
        for held in outcomes(browser, answers):
            assert held.token not in {None, browser.token}
            found = held.get("/read").json
            assert (found["principal"], found["sid"], found["data"]["a"]) == ("ann", sid, "1")
            assert browser.twin().get("/read").json["data"] == {}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize("other", ["/put", "/read", "/renew"])
def test_a_renewal_beside_another_request(port: int, other: str, permanent: bool) -> None:
    """The browser ends with the new token, and what the other request wrote is there: the old token has its grace."""
    for _ in range(RUNS):
        browser = visitor(port, permanent=permanent)
        answers = both(browser, ("/renew", {}), (other, {"b": 2} if other == "/put" else {}))

        assert [answer.status for answer in answers] == [200, 200]
        for held in outcomes(browser, answers):
            assert held.token not in {None, browser.token}
            found = held.get("/read").json["data"]
            assert (found["a"], found.get("b")) == ("1", "2" if other == "/put" else None)


@pytest.mark.timeout(900)
def test_two_logins_at_once(port: int) -> None:
    """Two clicks on the button: one session, and a token that works, whichever answer comes last."""
    for _ in range(RUNS):
        browser = visitor(port, permanent=False)
        answers = both(browser, ("/login", {"name": "ann"}), ("/login", {"name": "ann"}))

        for held in outcomes(browser, answers):
            assert held.get("/read").json["principal"] == "ann"


def test_a_login_ends_the_grace_of_older_tokens(port: int) -> None:
    """T0 is renewed with grace to T1, then somebody signs in: neither opens anything, nor gets a cookie for it."""
    browser = visitor(port, permanent=False)
    first = browser.twin()
    browser.get("/renew", grace=60)
    second = browser.twin()
    assert first.get("/read").json["data"] == {"a": "1"}
    browser.get("/login", name="ann")

    for old in (first, second):
        answer = old.twin().get("/read")
        assert (answer.json["principal"], answer.json["data"], answer.set_cookie) == (None, {}, None)
        answer = old.twin().get("/put", planted=1)
        assert answer.set_cookie is None
    assert browser.get("/read").json["data"] == {"a": "1"}


@pytest.mark.timeout(900)
def test_nobody_sees_anybody_else(port: int) -> None:
    """200 users on 8 threads, all of them again and again, on both workers: each answer is the asker's own."""
    browsers = together(THREADS, lambda part: [_user(port, number) for number in range(part, USERS, THREADS)])

    def visit(part: int) -> tuple[int, set[int]]:
        asked, pids = 0, set()
        while asked < REQUESTS // THREADS:
            for step, browser in enumerate(browsers[part]):
                number = part + step * THREADS
                found = browser.get("/read").json
                assert (found["principal"], found["data"]) == (f"user-{number}", {"mine": f"secret-{number}"})
                pids.add(found["pid"])
                asked += 1
        return asked, pids

    seen = together(THREADS, visit, timeout=600)
    assert sum(asked for asked, _ in seen) >= REQUESTS
    assert len(set.union(*(pids for _, pids in seen))) == 2


def _user(port: int, number: int) -> Browser:
    browser = Browser(port)
    browser.get("/put", mine=f"secret-{number}")
    browser.get("/login", name=f"user-{number}")
    return browser
