"""SessionMiddleware: sessions for any ASGI application."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.asgi.ending import require_anyio
from coatcheck.asgi.exchange import Exchange
from coatcheck.asgi.headers import value_of
from coatcheck.asgi.response import Response
from coatcheck.asgi.session import ASGISession
from coatcheck.asgi.socket import Socket
from coatcheck.asgi.watcher import Watcher
from coatcheck.web.opening import open_old, open_tokens
from coatcheck.web.options import UNSET, Unset, web_options

if TYPE_CHECKING:
    from coatcheck.adopt import LegacySource
    from coatcheck.client import SessionClient
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.settings import Lane, OutagePolicy

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("coatcheck.asgi")


class SessionMiddleware:
    """``app.add_middleware(SessionMiddleware, home="state")``; in place of Starlette's, with the same arguments.

    Pure ASGI, for ``http`` and ``websocket``. ``scope["session"]``, which is ``request.session``, is an
    :class:`coatcheck.asgi.ASGISession`: a dict, loaded already where the request brought a token.

    The session is committed before the response headers leave, so whoever has the response finds its changes. What a
    stream or a background task writes later is saved at its end, or with ``await session.acommit()`` before that; it
    cannot bring the browser a token any more.

    **A request that fails changes nothing**: where the application raises, or answers with a status from 500 on,
    nothing of the request reaches the store, no cookie is sent, and flashes that it took are given back. Other
    statuses commit, those of an ``HTTPException`` below 500 too.

    **An outage** of the store is a 503 with ``Retry-After``, unless ``on_outage`` says otherwise, and touches no
    cookie. An application may handle :class:`coatcheck.StoreUnavailable` itself, as with ``app.exception_handler``.
    """

    def __init__(
        self,
        app: App,
        secret_key: object = None,
        session_cookie: str | None = None,
        max_age: float | Unset | None = UNSET,
        path: str = "/",
        same_site: str | None = "lax",
        https_only: bool | None = None,  # noqa: FBT001 - as Starlette has it
        domain: str | None = None,
        partitioned: bool = False,  # noqa: FBT001, FBT002 - as Starlette has it
        *,
        client: SessionClient | None = None,
        home: str | os.PathLike[str] | None = None,
        token_header: str | None = None,
        no_store: bool = False,
        clear_site_data: bool | str | Sequence[str] = False,
        adopt: LegacySource | Sequence[LegacySource] | None = None,
        lazy: bool = False,
        close_websockets: bool = False,
        lane: Lane | None = None,
        anonymous: Lifetimes | None = None,
        signed_in: Lifetimes | None = None,
        on_outage: OutagePolicy | None = None,
    ) -> None:
        """The first nine are Starlette's, the rest is coatcheck's own. Nothing is opened before the first request.

        ``secret_key`` is accepted for what was written for Starlette, and not used: tickets are made under the secrets
        of the state directory.

        ``session_cookie``: default ``__Host-id``, or ``id`` where the cookie is not Secure.

        ``max_age``: seconds, the idle lifetime of sessions, and the absolute one too where that is shorter; None: the
        cookie is gone when the browser is closed. Left out: coatcheck's own lifetimes, and a cookie that lasts as long
        as its session can.

        ``https_only``: a Secure cookie; default True, or what ``COATCHECK_SECURE`` says in the environment.

        ``home``, ``lane``, ``anonymous``, ``signed_in``, ``on_outage``: the fields of :class:`coatcheck.Settings`; what
        is left out comes from the environment. For the other fields make a client.

        ``client``: one that exists, as ``coatcheck.connect`` makes it, instead of these.

        ``token_header``: the token travels in a header of this name instead of a cookie, in requests and responses.

        ``no_store``: responses that bring a token also say ``Cache-Control: no-store``.

        ``clear_site_data``: True: the response to a logout has the browser clear its cache and storage
        (``Clear-Site-Data``); or a list of the header's directives.

        ``adopt``: stores that sessions move in from, see :mod:`coatcheck.adopt`. They are asked in a thread.

        ``lazy``: load nothing before ``await load_session(request)``.

        ``close_websockets``: close a websocket when its session ends, by logout, login, revocation or expiry, with
        code 1008. Needs anyio.

        Raises ConfigurationError for what cannot work, and for cookies that browsers would refuse.
        """
        self.app = app
        self.options = web_options(
            secret_key=secret_key,
            session_cookie=session_cookie,
            max_age=max_age,
            path=path,
            same_site=same_site,
            https_only=https_only,
            domain=domain,
            partitioned=partitioned,
            token_header=token_header,
            no_store=no_store,
            clear_site_data=clear_site_data,
            adopt=adopt,
            client=client,
            home=home,
            lane=lane,
            anonymous=anonymous,
            signed_in=signed_in,
            on_outage=on_outage,
        )
        self.client = self.options.client
        if close_websockets:
            require_anyio()
        self._lazy = bool(lazy)
        self._watcher = Watcher(self.client) if close_websockets else None
        transport = self.options.transport
        self._header = transport.request_header.lower().encode("latin-1")
        self._separator = "; " if self._header == b"cookie" else ", "

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, self._closing(send) if kind == "lifespan" else send)
            return
        session = scope["session"] = await self._open(scope)
        exchange: Exchange
        if kind == "http":
            exchange = Response(self.app, scope, session, self.options, send)
        else:
            exchange = Socket(self.app, scope, session, self.options, send, self._watcher)
        await exchange.run(receive)

    async def _open(self, scope: Scope) -> ASGISession:
        address = scope.get("client")
        make = functools.partial(
            ASGISession,
            self.options,
            peer=address[0] if address else None,
            user_agent=value_of(scope, b"user-agent") or "",
            lazy=self._lazy,
        )
        transport = self.options.transport
        value = value_of(scope, self._header, self._separator)
        if self.options.may_be_old(value):
            origin = await self.client.runner.read(functools.partial(self.options.origin_of, value), finish=True)
            if origin is not None:
                session = open_old(make, origin, load=False)
                if not self._lazy:
                    await session.aload()
                return session
        presented = transport.presented(value)
        if not presented.tokens or (self._lazy and len(presented.tokens) == 1):
            return make(presented.tokens[0] if presented.tokens else None)
        opening = functools.partial(open_tokens, make, presented, transport.name, _log, load=True)
        return await self.client.runner.read(opening, finish=True)

    def _closing(self, send: Send) -> Send:
        """Close the client that was made here when the application has shut down; the next request opens again."""

        async def closing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown.") and self.options.owns_client:
                await self.client.aclose()
            await send(message)

        return closing
