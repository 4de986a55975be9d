"""The FastAPI shop in two workers of uvicorn."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

from coatcheck.testing import together
from tests.examples.tab import Tab
from tests.web.serving import ROOT, UVICORN, serving


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where it is."""
    home = tmp_path_factory.mktemp("shop") / "state"
    with serving(UVICORN, "app:app", home, cwd=ROOT / "examples" / "fastapi_shop") as port:
        yield port


def test_a_visit(port: int) -> None:
    """What its README shows, and the way out."""
    tab = Tab(port)
    assert tab.ask("POST", "/cart/hat").json == {"added": "hat"}
    before = tab.token
    assert tab.ask("POST", "/login", {"user": "ann", "password": "coat"}).json == {"user": "ann"}
    assert tab.token not in (None, before)
    page = tab.ask("GET", "/").json
    assert (page["user"], page["cart"], page["total"]) == ("ann", ["hat"], 30)
    assert [each["text"] for each in page["messages"]] == ["hat is in your cart", "Welcome, ann"]
    assert tab.ask("GET", "/").json["messages"] == []
    assert tab.ask("DELETE", "/cart").status == 200
    assert tab.ask("GET", "/").json["cart"] == []
    assert tab.ask("POST", "/logout").status == 200
    assert tab.token is None
    assert tab.ask("GET", "/").json["user"] is None


@pytest.mark.parametrize("body", [{"user": "ann", "password": "x"}, {"user": "eve", "password": ""}])
def test_a_wrong_password(port: int, body: dict[str, str]) -> None:
    """Nobody is signed in, and no cookie comes."""
    tab = Tab(port)
    assert tab.ask("POST", "/login", body).status == 401
    assert (tab.token, tab.ask("POST", "/cart/fur").status) == (None, 404)


def test_items_that_are_added_at_once_add_up(port: int) -> None:
    """Twenty requests, both workers, one cart."""
    tab = Tab(port)
    tab.ask("POST", "/cart/hat")
    together(20, lambda _: tab.twin().ask("POST", "/cart/scarf"))
    assert tab.ask("GET", "/").json["total"] == 30 + 20 * 25


def test_other_devices(port: int) -> None:
    """They are listed, and signed out, with their websockets."""
    phone, laptop = Tab(port), Tab(port)
    for each in (phone, laptop):
        each.ask("POST", "/login", {"user": "ben", "password": "check"})
    phone.ask("POST", "/cart/mittens")
    headers = {"Cookie": f"__Host-id={phone.token}"}
    with websocket(f"ws://127.0.0.1:{port}/live", additional_headers=headers) as live:
        live.send("?")
        assert json.loads(live.recv(10)) == {"cart": ["mittens"]}
        assert len(laptop.ask("GET", "/devices").json) == 1
        assert laptop.ask("DELETE", "/devices").json == {"signed_out": 1}
        with pytest.raises(ConnectionClosed) as closed:
            live.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert phone.ask("GET", "/").json["user"] is None
    assert laptop.ask("GET", "/").json["user"] == "ben"
    assert Tab(port).ask("GET", "/devices").status == 401
    assert Tab(port).ask("DELETE", "/devices").status == 403
