"""What a response and a websocket have in common: a session that is settled once, before the headers leave."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from coatcheck.asgi.headers import came_over_http, texts, with_headers
from coatcheck.errors import CoatcheckError
from coatcheck.web.refusing import ANSWERED, Refusal, refusal_of
from coatcheck.web.settling import commit_leftovers, headers_of, settle, warn_of_http

if TYPE_CHECKING:
    from coatcheck.asgi.session import ASGISession
    from coatcheck.web.options import WebOptions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("coatcheck.asgi")


class Exchange:
    """One connection through the middleware."""

    def __init__(self, app: Any, scope: Any, session: ASGISession, options: WebOptions, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._session = session
        self._options = options
        self._send = send
        self._run = options.client.runner
        self._began = False
        """Whether anything has left."""
        self._failed: CoatcheckError | None = None
        """Why the session could not be committed; the answer that said otherwise must not leave."""

    async def run(self, receive: Receive) -> None:
        """Call the application, then see to what it has left behind."""
        try:
            await self._app(self._scope, receive, self.send)
            if self._failed is not None:
                raise self._failed  # the application has swallowed it
        except ANSWERED as error:
            await self._take_back()
            await self.refuse(error)
        except Exception as error:
            await self._take_back()
            if not isinstance(self._failed, ANSWERED):
                raise
            _log.debug("what the application made of an outage", exc_info=error)
            await self.refuse(self._failed)
        except BaseException:
            await self._take_back()
            raise
        else:
            await self._leftovers()

    async def send(self, message: Message) -> None:
        """What the application sends."""
        raise NotImplementedError

    async def answer(self, refusal: Refusal) -> None:
        """Send this instead of what the application would have sent; called only while nothing has left."""
        raise NotImplementedError

    async def refuse(self, error: CoatcheckError) -> None:
        """Answer an error of the session. Raises it where another answer has left already."""
        if self._began:
            raise error
        self._began = True
        await self.answer(refusal_of(error, _log))

    async def send_refusal(self, kind: str, refusal: Refusal) -> None:
        """Its messages, of that kind."""
        headers = with_headers((), refusal.all_headers(), set())
        await self._send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
        await self._send({"type": f"{kind}.body", "body": refusal.body})

    async def settled_headers(
        self, message: Message, status: int, *, streams: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Commit; the headers of this message with what they say about the session.

        ``streams``: whether the application may use the session for what it sends after them, unless they say how much
        that is.
        """
        pairs = [*(message.get("headers") or ())]
        settling = functools.partial(settle, self._session, self._options, status)
        try:
            settled = await self._run.write(settling, finish=True)
        except CoatcheckError as error:
            self._failed = error
            raise
        warn_of_http(settled, self._options, _log, over_http=lambda: came_over_http(self._scope))
        present = functools.partial(texts, pairs)
        streams = streams and not present("Content-Length")
        added, replaced = headers_of(settled, self._options, present, streams=streams)
        return with_headers(pairs, added, replaced) if added else pairs

    async def _take_back(self) -> None:
        await self._session.aabandon()

    async def _leftovers(self) -> None:
        """Save what was written since the headers have left; where none have, the server answers with an error."""
        if not self._began:
            await self._take_back()
        elif self._session.has_leftovers():
            left = functools.partial(commit_leftovers, self._session, _log, self._where)
            await self._run.write(left, finish=True)

    def _where(self) -> str:
        return f"{self._scope.get('method', 'WEBSOCKET')} {self._scope['path']!r}"
