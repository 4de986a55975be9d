"""Cookies that nobody sent in good faith, over HTTP."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator

import pytest

from tests.flask.gunicorn import Browser, gunicorn
from tests.support.require import require
from tests.web.fuzz import INJECTED, cookie_headers

MARK = "only-for-the-victim"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """That of the probing application under gunicorn."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    with gunicorn(tmp_path_factory.mktemp("fuzz") / "state", "direct") as port:
        yield port


def answer_to(port: int, path: str, cookie: bytes) -> bytes:
    """All that the server says to a request with this header, byte for byte."""
    head = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: %s\r\n\r\n" % (path.encode(), cookie)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        said = b""
        # A server that refuses a header may close before it has read all of it.
        try:
            connection.sendall(head)
            while piece := connection.recv(65_536):
                said += piece
        except ConnectionError:
            pass
        return said


@pytest.mark.parametrize("path", ["/read", "/put?b=2"])
def test_no_cookie_breaks_anything(path: str, port: int) -> None:
    """No 500, nobody else's session, no header that was put in, and the token of a header in no page."""
    victim = Browser(port)
    victim.get("/put", mark=MARK)
    token = str(victim.token)
    for header in cookie_headers(token):
        said = answer_to(port, path, header)

        status = said.partition(b"\r\n")[0].split(b" ")[1:2]
        assert status in ([], [b"200"], [b"400"], [b"431"]), (header, said[:200])
        head, _, page = said.partition(b"\r\n\r\n")
        assert INJECTED.encode() not in head
        assert token.encode() not in page
        if b"__Host-id=" + token.encode() not in header.replace(b'"', b"").replace(b" ", b""):
            assert MARK.encode() not in page, header

    assert victim.get("/read").json["data"]["mark"] == MARK


def test_names_and_values_inject_nothing(port: int) -> None:
    """Line breaks in what is stored, and asked for, stay data."""
    browser = Browser(port)
    answer = browser.get("/put", **{"a\r\nSet-Cookie: x": "y\r\nSet-Cookie: z=1"})

    assert answer.status == 200
    assert [name for name in answer.headers if name.lower() == "set-cookie"] == ["Set-Cookie"]
    assert browser.get("/read").json["data"] == {"a\r\nSet-Cookie: x": "y\r\nSet-Cookie: z=1"}
