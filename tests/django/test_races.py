"""Cookie races, isolation and fuzzed cookies over HTTP, at the real gunicorn.

``COATCHECK_DJANGO_RUNS=1000`` and ``COATCHECK_DJANGO_REQUESTS=20000`` run as many as a release wants.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

import coatcheck
from coatcheck.client import SessionClient
from coatcheck.testing import together
from tests.django.served import Visitor, served
from tests.support.require import require

RUNS = int(os.environ.get("COATCHECK_DJANGO_RUNS", "40"))
REQUESTS = int(os.environ.get("COATCHECK_DJANGO_REQUESTS", "1000"))
USERS = 200
THREADS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[tuple[int, Path]]:
    """The port of the server, and the state directory."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    home = tmp_path_factory.mktemp("races") / "state"
    with served(home, database) as port:
        yield port, home


@pytest.fixture
def port(server: tuple[int, Path]) -> int:
    """Where the server is."""
    return server[0]


@pytest.fixture
def store(server: tuple[int, Path]) -> Iterator[SessionClient]:
    """The state directory of the server, looked at from outside."""
    with coatcheck.connect(server[1]) as client:
        yield client


@pytest.mark.timeout(900)
@pytest.mark.parametrize("order", ["its response first", "its response last"])
@pytest.mark.parametrize("what", ["login", "renewal"])
def test_the_browser_ends_with_the_new_key(port: int, store: SessionClient, what: str, order: str) -> None:
    """Two requests at once with one cookie, of which one gets a new key and the other writes.

    In whichever order the server meets them and the browser the responses, the browser ends with the new key, the login
    stands, and what was written is kept where it was stored at all: always in a renewal, before a login otherwise.
    """
    path = "/sign_in?name=ann" if what == "login" else "/renew"
    kept = 0
    for run in range(RUNS):
        browser = Visitor(port)
        browser.get("/put", mark=run)
        old = str(browser.token)
        tabs = browser.twin(), browser.twin()
        renewing, writing = together(
            2,
            lambda number, tabs=tabs: tabs[number].get((path, f"/put?b={number}")[number]),  # type: ignore[misc]
        )
        assert (renewing.status, writing.status) == (200, 200)
        for answer in (renewing, writing) if order.endswith("first") else (writing, renewing):
            browser.receive(answer)

        assert browser.token not in (None, old)
        found = browser.get("/read").json
        assert found["data"]["mark"] == str(run)
        kept += "b" in found["data"]
        if what == "login":
            assert browser.get("/who").json["user"] == "ann"
            assert store.find(old).reason == "retired"
    if what == "renewal":
        assert kept == RUNS


@pytest.mark.timeout(900)
def test_nobody_ever_sees_anothers_session(port: int) -> None:
    """Two hundred visitors, some of them signed in, by many threads in both workers: each sees what is their own."""
    visitors = [Visitor(port) for _ in range(USERS)]
    names = [None if number % 4 else ("ann", "bob")[number % 8 == 0] for number in range(USERS)]
    for number, (visitor, name) in enumerate(zip(visitors, names, strict=True)):
        visitor.get("/put", mark=f"visitor {number}")
        if name is not None:
            visitor.get("/sign_in", name=name)
    assert len({visitor.token for visitor in visitors}) == USERS
    pids: set[int] = set()

    def visit(thread: int) -> int:
        chance = random.Random(thread)
        wrong = 0
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for step in range(REQUESTS // (THREADS * 2)):
                number = chance.randrange(USERS)
                tab = visitors[number].twin()
                if step % 5 == 0:
                    wrong += tab.fetch("/put", {f"of{thread}": number}, via=connection).set_cookie is not None
                found = tab.fetch("/who", via=connection).json
                pids.add(found["pid"])
                wrong += (found["mark"], found["user"]) != (f"visitor {number}", names[number])
        return wrong

    assert together(THREADS * 2, visit, timeout=600) == [0] * THREADS * 2
    assert len(pids) == 2


def test_fuzzed_cookies_break_and_reach_nothing(port: int) -> None:
    """Whatever a cookie holds: no 500, nobody's session, and its value in no answer."""
    victim = Visitor(port)
    victim.get("/put", mark="the victim's")
    token = str(victim.token)
    letters = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
    near = st.builds(lambda at, letter: token[:at] + letter + token[at + 1 :], st.integers(0, len(token) - 1), letters)
    values = st.one_of(st.text(letters, max_size=200), near, near.map(lambda text: f'"{text}'), st.just("x" * 5000))
    headers = st.one_of(
        values.map(lambda value: f"__Host-id={value}"),
        st.lists(values, max_size=12).map(lambda several: "; ".join(f"__Host-id={each}" for each in several)),
        st.text(letters, max_size=300),
    )

    @hypothesis.settings(
        max_examples=150, suppress_health_check=list(hypothesis.HealthCheck), derandomize=bool(os.environ.get("CI"))
    )
    @hypothesis.given(headers, st.sampled_from(["/read", "/put?b=2", "/show", "/who", "/sign_out"]))
    def fuzz(header: str, path: str) -> None:
        hypothesis.assume(token not in header)
        answer = Visitor(port).fetch(path, cookie=header)
        assert answer.status < 500, answer.text
        said = answer.text + str(answer.headers)
        assert "the victim's" not in said
        assert token not in said
        for value in (each.partition("=")[2].strip('" ') for each in header.split(";")):
            assert len(value) < 12 or value not in said
        if path == "/read" and answer.status == 200:
            assert answer.json["data"] == {}

    fuzz()
    assert victim.get("/look", key="mark").json == {"value": "the victim's"}
