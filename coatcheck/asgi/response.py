"""An http request and its response."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from coatcheck.asgi.exchange import Exchange
from coatcheck.web.settling import UNAVAILABLE, UNAVAILABLE_HEADERS

Message = MutableMapping[str, Any]

UNAVAILABLE_PAIRS = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in UNAVAILABLE_HEADERS]


class Response(Exchange):
    """Settles the session when the response starts, and saves what a stream wrote before its last piece leaves."""

    _streams = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """What the application sends."""
        kind = message["type"]
        if kind == "http.response.start":
            message = {**message, "headers": await self.settled_headers(message, message["status"])}
            self._began = True
        elif kind == "http.response.body":
            if message.get("more_body", False):
                self._streams = True
            elif self._streams:
                await self._leftovers()
        await self._send(message)

    async def answer_unavailable(self) -> None:
        """503, and ask again in a while."""
        await self._send({"type": "http.response.start", "status": 503, "headers": list(UNAVAILABLE_PAIRS)})
        await self._send({"type": "http.response.body", "body": UNAVAILABLE})
