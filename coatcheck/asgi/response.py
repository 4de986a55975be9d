"""An http request and its response."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from coatcheck.asgi.exchange import Exchange
from coatcheck.web.refusing import Refusal

Message = MutableMapping[str, Any]

_WITHOUT_BODY: Final = (204, 304)


class Response(Exchange):
    """Settles the session when the response starts, and saves what a stream wrote before its last piece leaves."""

    _streams = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """What the application sends."""
        kind = message["type"]
        if kind == "http.response.start":
            status = message["status"]
            headers = await self.settled_headers(message, status, streams=status not in _WITHOUT_BODY)
            message = {**message, "headers": headers}
            self._began = True
        elif kind == "http.response.body":
            if message.get("more_body", False):
                self._streams = True
            elif self._streams:
                await self._leftovers()
        await self._send(message)

    async def answer(self, refusal: Refusal) -> None:
        """Send this instead of what the application would have sent."""
        await self.send_refusal("http.response", refusal)
