"""Starlette and FastAPI applications in two workers of uvicorn."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

from coatcheck import connect
from tests.flask.gunicorn import Browser
from tests.web.promises import Promises
from tests.web.serving import HYPERCORN, UVICORN, serving


class TestStarlette(Promises):
    """As it is written for Starlette's own middleware."""

    server = UVICORN
    factory = "tests.asgi.probe:starlette_app"


class TestFastAPI(Promises):
    """With the dependency."""

    server = UVICORN
    factory = "tests.asgi.probe:fastapi_app"


class TestOnTheActorLane(TestStarlette):
    """Where each answer is waited for, in a thread."""

    lane = "actor"


@pytest.mark.parametrize("factory", ["starlette_app", "fastapi_app"])
def test_a_websocket_is_closed_on_revoke(tmp_path: Path, factory: str) -> None:
    """Across processes: whoever revokes it, the worker that has the websocket closes it, and the code says why."""
    home = tmp_path / "state"
    with serving(UVICORN, f"tests.asgi.probe:{factory}", home) as port, connect(home) as client:
        token, record = client.create({"a": 1}, principal="ann")
        headers = {"Cookie": f"__Host-id={token}"}
        with websocket(f"ws://127.0.0.1:{port}/echo", additional_headers=headers) as socket:
            socket.send("a")
            assert socket.recv(10) == "1"
            socket.send("b=2")
            assert socket.recv(10) == "2"
            assert client.open(token) == {"a": 1, "b": "2"}
            assert client.revoke_sid(record.sid)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "session ended")


def test_a_handshake_brings_the_cookie(tmp_path: Path) -> None:
    """As the headers of the accept."""
    home = tmp_path / "state"
    with (
        serving(UVICORN, "tests.asgi.probe:starlette_app", home) as port,
        connect(home) as client,
        websocket(f"ws://127.0.0.1:{port}/echo?set=yes") as socket,
    ):
        assert socket.response is not None
        token = socket.response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        assert client.open(token) == {"set": "yes"}


def test_a_stream_over_http(tmp_path: Path) -> None:
    """Who has read all of it finds what it wrote."""
    home = tmp_path / "state"
    with serving(UVICORN, "tests.asgi.probe:starlette_app", home) as port:
        browser = Browser(port)
        assert browser.get("/stream").text == "one two"
        assert browser.get("/read").json["data"] == {"before": 1, "during": 2}


class TestOnTrio(Promises):
    """Under hypercorn, whose workers can run on trio."""

    server = HYPERCORN
    factory = "tests.asgi.probe:starlette_app"
