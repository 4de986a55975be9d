"""A websocket: a session from the handshake on, and closed with it where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from coatcheck.asgi.ending import Ending, SessionEnded
from coatcheck.asgi.exchange import Exchange
from coatcheck.errors import CoatcheckError
from coatcheck.web.refusing import Refusal, refusal_of

if TYPE_CHECKING:
    from coatcheck.asgi.session import ASGISession
    from coatcheck.asgi.watcher import Watcher
    from coatcheck.web.options import WebOptions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_DENIAL: Final = "websocket.http.response"

_log = logging.getLogger("coatcheck.asgi")


class Socket(Exchange):
    """Settles the session with the handshake: that is the only moment at which a websocket can bring a token.

    What is written afterwards is saved by ``await session.acommit()``, and at the end.
    """

    def __init__(
        self, app: Any, scope: Any, session: ASGISession, options: WebOptions, send: Send, watcher: Watcher | None
    ) -> None:
        super().__init__(app, scope, session, options, send)
        self._watcher = watcher
        self._ending: Ending | None = None
        self._closed = False

    async def run(self, receive: Receive) -> None:
        """Serve the websocket, until its session ends where that is watched."""
        if self._watcher is None:
            await super().run(receive)
            return
        ending = self._ending = Ending(receive, self._send)
        try:
            await super().run(ending.receive)
        except SessionEnded:
            _log.debug("a websocket was closed with its session")
        finally:
            ending.over()

    async def send(self, message: Message) -> None:
        """What the application sends."""
        kind = message["type"]
        if kind == "websocket.accept":
            message = {**message, "headers": await self.settled_headers(message, 101)}
            self._began = True
        elif kind == f"{_DENIAL}.start":
            message = {**message, "headers": await self.settled_headers(message, message["status"])}
            self._began = self._closed = True
        elif kind == "websocket.close":
            if not self._began:
                # Refused without headers, so no token can come: what an existing session was given is saved.
                self._session.seal()
                self._began = True
            self._closed = True
        if self._ending is None:
            await self._send(message)
            return
        await self._ending.send(message)
        if kind == "websocket.accept" and self._watcher is not None:
            self._ending.watch(self._watcher, self._session)

    async def refuse(self, error: CoatcheckError) -> None:
        """Refuse the handshake, or close what was open."""
        if not self._began:
            await super().refuse(error)
            return
        refusal = refusal_of(error, _log)
        if not self._closed:
            await self._send({"type": "websocket.close", "code": refusal.close_code, "reason": refusal.phrase})

    async def answer(self, refusal: Refusal) -> None:
        """The status where the server can say so to a handshake; else it is refused."""
        if _DENIAL in (self._scope.get("extensions") or {}):
            await self.send_refusal(_DENIAL, refusal)
        else:
            await self._send({"type": "websocket.close", "code": refusal.close_code})
