"""A server of one connection: calls an ASGI application, on asyncio and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]

LOOPS = ["asyncio", "trio"]


def on(loop: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run it on a loop."""
    return anyio.run(work, backend=loop)


@dataclass
class Sent:
    """What an application has sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Of the response."""
        found: int = self.messages[0]["status"]
        return found

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(each.get("body", b"") for each in self.messages[1:])

    def values(self, name: str) -> list[str]:
        """Of the headers of that name."""
        headers = self.messages[0].get("headers", ())
        return [value.decode("latin-1") for key, value in headers if key == name.encode("latin-1")]

    @property
    def set_cookie(self) -> str | None:
        """The header, of which there is one at most."""
        found = self.values("set-cookie")
        assert len(found) < 2
        return found[0] if found else None

    @property
    def token(self) -> str:
        """The token that it brings."""
        assert self.set_cookie is not None
        return self.set_cookie.partition("=")[2].partition(";")[0]


def scope_of(kind: str = "http", *, token: str | None = None, headers: Any = (), **more: Any) -> dict[str, Any]:
    """A scope as a server makes it."""
    cookie = [] if token is None else [(b"cookie", f"a=b; __Host-id={token}".encode("latin-1"))]
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "method": "GET",
        "path": "/there",
        "scheme": "https" if kind == "http" else "wss",
        "query_string": b"",
        "client": ("203.0.113.9", 4711),
        "headers": [(b"host", b"shop.example"), *cookie, *headers],
        **more,
    }


async def visit(app: App, token: str | None = None, sent: Sent | None = None, **more: Any) -> Sent:
    """One request; ``sent`` collects what comes even where the application raises."""
    sent = Sent() if sent is None else sent

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.messages.append(message)

    await app(scope_of(token=token, **more), receive, send)
    return sent


async def answer(send: Any, status: int = 200, body: bytes = b"", headers: Any = ()) -> None:
    """A response in one piece."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
