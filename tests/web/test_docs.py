"""The programs of docs/asgi.md and docs/wsgi.md, saved and started as the pages say."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from coatcheck.asgi import SessionMiddleware
from tests.examples.tab import Tab
from tests.support.require import require
from tests.web.serving import GUNICORN, ROOT, UVICORN, serving


@pytest.mark.parametrize(("page", "server", "needs"), [("asgi", UVICORN, "starlette"), ("wsgi", GUNICORN, "bottle")])
def test_the_program_does_what_the_page_shows(page: str, server: str, needs: str, tmp_path: Path) -> None:
    """The first block of Python is whole; the answers are those of the transcript."""
    require(importlib.util.find_spec(needs), needs)
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program is not None
    (tmp_path / "shop.py").write_text(program[1], encoding="utf-8")
    shown = re.findall(r"^\$ curl .*\n(\{.*\})$", text, re.MULTILINE)
    assert len(shown) == 2

    with serving(server, "shop:app", tmp_path / "state", cwd=tmp_path) as port:
        tab = Tab(port)
        assert tab.ask("POST", "/cart/hat").text == shown[0]
        assert tab.ask("GET", "/").text == shown[1]
        before = tab.token
        assert tab.ask("POST", "/login/ann").json == {"user": "ann"}
        assert tab.token != before
        assert tab.ask("GET", "/").json == {"cart": ["hat"], "messages": []}


def test_every_argument_is_on_the_page() -> None:
    """What the middleware takes is described, and nothing else is."""
    text = (ROOT / "docs" / "asgi.md").read_text(encoding="utf-8")
    rows = [each for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for each in re.findall(r"`(\w+)`", row)]
    taken = set(inspect.signature(SessionMiddleware).parameters) - {"app", "client", "home", "lane"}
    assert taken - {"anonymous", "signed_in", "on_outage"} == set(rows) & taken
    for name in ("home", "lane", "anonymous", "signed_in", "on_outage"):
        assert f"`{name}`" in text
