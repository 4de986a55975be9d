"""The guest book in two workers of gunicorn."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.testing import together
from tests.examples.tab import Tab
from tests.support.require import require
from tests.web.serving import GUNICORN, ROOT, serving


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where it is."""
    require(importlib.util.find_spec("bottle"), "bottle")
    home: Path = tmp_path_factory.mktemp("book") / "state"
    with serving(GUNICORN, "app:app", home, cwd=ROOT / "examples" / "wsgi_bottle") as port:
        yield port


def test_a_visit(port: int) -> None:
    """Guest, name, lines, goodbye; each message once."""
    tab = Tab(port)
    assert "Sign in" in tab.ask("GET", "/").text
    assert tab.token is None
    assert tab.ask("POST", "/login", {"name": "Zoë"}, form=True).status == 303
    page = tab.ask("GET", "/").text
    assert "Welcome, Zoë" in page
    assert "visit number\n1." in page
    assert "Welcome" not in tab.ask("GET", "/").text
    tab.ask("POST", "/lines", {"line": "<b>nice</b>"}, form=True)
    assert "<li>&lt;b&gt;nice&lt;/b&gt;</li>" in tab.ask("GET", "/").text
    signed_in = tab.token
    assert tab.ask("POST", "/logout", {}, form=True).status == 303
    assert tab.token not in (None, signed_in)
    page = tab.ask("GET", "/").text
    assert "Goodbye" in page
    assert "nice" not in page


def test_lines_that_are_written_at_once_are_all_there(port: int) -> None:
    """Twelve requests, both workers, one book."""
    tab = Tab(port)
    tab.ask("POST", "/login", {"name": "ann"}, form=True)
    together(12, lambda number: tab.twin().ask("POST", "/lines", {"line": f"line {number}"}, form=True))
    page = tab.ask("GET", "/").text
    assert [f"<li>line {number}</li>" in page for number in range(12)] == [True] * 12


def test_who_may_not(port: int) -> None:
    """Errors begin no session."""
    tab = Tab(port)
    assert tab.ask("POST", "/lines", {"line": "x"}, form=True).status == 401
    assert tab.ask("POST", "/login", {"name": " "}, form=True).status == 400
    assert tab.token is None
