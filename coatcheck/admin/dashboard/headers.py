"""What every response says to the browser, and which requests are answered at all."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing inline, nothing from elsewhere (ASVS 3.4.3)."""

STRICT: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: then forms say `Origin: null`, and could not be told from those of others.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
    "x-robots-tag": "noindex, nofollow",
}
"""On every response."""

HSTS: Final = "max-age=31536000"
"""Where browsers come over https (ASVS 3.4.1)."""

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?P<port>:[0-9]{1,5})?")


class Hosts:
    """Which names a browser may have typed.

    A page of an attacker whose name resolves to 127.0.0.1 for a moment (DNS rebinding) has the attacker's name in Host.
    """

    def __init__(self, bound: str, url: str | None = None) -> None:
        """``bound``: the address of the listener; ``url``: where browsers come from a proxy."""
        self._bound = bound
        self._proxy = urlsplit(url).hostname if url else None

    def allows(self, host: str) -> bool:
        """Whether that is a loopback name, the address itself, or the proxy's name; with any port, for tunnels."""
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts["name"].strip("[]").lower().rstrip(".")
        if name in {"localhost", self._bound, self._proxy}:
            return True
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return False


class Headers:
    """Middleware: refuses strangers' names, and puts the headers on what the application answers."""

    def __init__(self, app: App, hosts: Hosts, *, https: bool) -> None:
        self._app, self._hosts = app, hosts
        always = {**STRICT, **({"strict-transport-security": HSTS} if https else {})}
        self._always = [(name.encode(), value.encode()) for name, value in always.items()]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                added = [each for each in self._always if each[0] not in names]
                if b"cache-control" not in names:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": given + added}
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._hosts.allows(hosts[0].decode("latin-1")):
            await refuse(with_headers, 421, "This dashboard is not known under that name.\n")
            return
        await self._app(scope, receive, with_headers)


async def refuse(send: Send, status: int, text: str) -> None:
    """Answer with a line of text."""
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
