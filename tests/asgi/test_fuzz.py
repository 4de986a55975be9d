"""Cookies, names and values that nobody sent in good faith."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coatcheck import ConfigurationError, connect
from coatcheck.asgi import SessionMiddleware
from coatcheck.client import SessionClient
from tests.asgi.driving import answer, on, scope_of, visit
from tests.web.fuzz import cookie_headers


async def shows(scope: Any, receive: Any, send: Any) -> None:
    """All of it."""
    await answer(send, body=json.dumps(dict(scope["session"])).encode())


async def writes(scope: Any, receive: Any, send: Any) -> None:
    """One key more."""
    scope["session"]["b"] = 2
    await answer(send)


def test_no_header_breaks_anything_or_is_reflected(home: Path) -> None:
    """Each is answered with the session of the token in it or with none; what comes back is a token of our own."""

    async def run(client: SessionClient) -> None:
        token, _ = client.create({"mark": "mine"})
        client.create({"mark": "somebody else's"})
        for header in cookie_headers(token):
            sent = await visit(SessionMiddleware(shows, client=client), headers=[(b"cookie", header)])
            assert sent.status == 200
            assert json.loads(sent.body).get("mark", "mine") == "mine", header
            assert sent.set_cookie is None or sent.token == "", header
            sent = await visit(SessionMiddleware(writes, client=client), headers=[(b"cookie", header)])
            assert sent.status == 200
            if sent.set_cookie is not None:
                assert sent.token.encode() not in header
                assert client.open(sent.token) == {"b": 2}
        assert client.open(token)["mark"] == "mine"

    with connect(home) as client:
        on("asyncio", lambda: run(client))


def test_several_cookie_headers_are_one(home: Path) -> None:
    """HTTP/2 splits them; names of headers have any case, and scopes may have none at all."""

    async def run(client: SessionClient) -> None:
        token, _ = client.create({"a": 1})
        split = [(b"cookie", b"x=y"), (b"Cookie", b"__Host-id=" + token.encode()), (b"cookie", b"z=1")]
        assert (await visit(SessionMiddleware(shows, client=client), headers=split)).body == b'{"a": 1}'
        scope = scope_of()
        del scope["headers"], scope["client"]
        bodies: list[Any] = []

        async def send(message: Any) -> None:
            bodies.append(message.get("body"))

        await SessionMiddleware(shows, client=client)(scope, None, send)  # type: ignore[arg-type]
        assert bodies == [None, b"{}"]

    with connect(home) as client:
        on("asyncio", lambda: run(client))


@pytest.mark.parametrize(
    "given",
    [
        {"session_cookie": "id\r\nSet-Cookie: a"},
        {"session_cookie": "id; Domain=evil"},
        {"session_cookie": "id=a"},
        {"domain": "example.org\r\nX: y"},
        {"path": "/\nX: y"},
        {"token_header": "X-Token\r\nX"},
    ],
)
def test_nothing_gets_into_a_header_by_a_setting(home: Path, given: dict[str, Any]) -> None:
    """It is refused when the middleware is made."""
    with pytest.raises(ConfigurationError):
        SessionMiddleware(shows, home=home, **given)


def test_nothing_gets_into_a_header_by_the_application(home: Path) -> None:
    """Whatever keys, values and principals hold: the cookie has the token alone."""
    nasty = "a\r\nSet-Cookie: evil=1"

    async def nastily(scope: Any, receive: Any, send: Any) -> None:
        scope["session"][nasty] = nasty
        scope["session"].flash(nasty, nasty, nasty)
        scope["session"].login(nasty)
        await answer(send)

    async def run(client: SessionClient) -> None:
        sent = await visit(SessionMiddleware(nastily, client=client))
        assert sent.set_cookie == f"__Host-id={sent.token}; Max-Age=86400; Secure; HttpOnly; Path=/; SameSite=Lax"
        assert client.open(sent.token) == {nasty: nasty}

    with connect(home) as client:
        on("asyncio", lambda: run(client))
