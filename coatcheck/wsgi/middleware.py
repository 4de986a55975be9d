"""SessionMiddleware: sessions for any WSGI application."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from coatcheck.web.opening import open_old, open_presented
from coatcheck.web.options import UNSET, Unset, web_options
from coatcheck.wsgi.answer import Answer
from coatcheck.wsgi.session import WSGISession

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from coatcheck.adopt import LegacySource
    from coatcheck.client import SessionClient
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.settings import Lane, OutagePolicy

ENVIRON_KEY: Final = "coatcheck.session"
"""Where the application finds its session."""

_log = logging.getLogger("coatcheck.wsgi")


class SessionMiddleware:
    """``app = SessionMiddleware(app, home="state")``: the session is ``environ["coatcheck.session"]``.

    It is committed when the response begins: when the application's ``write`` is called, or its first piece is there,
    or it has none. Whoever has the response finds its changes. What a stream writes later is saved at its end, or with
    ``session.commit()`` before that; it cannot bring the browser a token any more.

    **A request that fails changes nothing**: where the application raises, or answers with a status from 500 on,
    nothing of the request reaches the store, no cookie is sent, and flashes that it took are given back.

    **An outage** of the store is a 503 with ``Retry-After``, unless ``on_outage`` says otherwise, and touches no
    cookie.
    """

    def __init__(
        self,
        app: WSGIApplication,
        secret_key: object = None,
        session_cookie: str | None = None,
        max_age: float | Unset | None = UNSET,
        path: str = "/",
        same_site: str | None = "lax",
        https_only: bool | None = None,  # noqa: FBT001 - as the middleware for ASGI has it
        domain: str | None = None,
        partitioned: bool = False,  # noqa: FBT001, FBT002 - as the middleware for ASGI has it
        *,
        client: SessionClient | None = None,
        home: str | os.PathLike[str] | None = None,
        token_header: str | None = None,
        no_store: bool = False,
        clear_site_data: bool | str | Sequence[str] = False,
        adopt: LegacySource | Sequence[LegacySource] | None = None,
        environ_key: str = ENVIRON_KEY,
        lane: Lane | None = None,
        anonymous: Lifetimes | None = None,
        signed_in: Lifetimes | None = None,
        on_outage: OutagePolicy | None = None,
    ) -> None:
        """The arguments of :class:`coatcheck.asgi.SessionMiddleware`, where each is described, and ``environ_key``.

        ``environ_key``: another key under which the session is found too. ``beaker.session`` is for code that was
        written for Beaker, which finds ``beaker.get_session`` beside it.

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
        self.environ_key = environ_key
        header = self.options.transport.request_header
        self._variable = f"HTTP_{header.upper().replace('-', '_')}"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        session = self._open(environ)
        environ[ENVIRON_KEY] = session
        if self.environ_key != ENVIRON_KEY:
            environ[self.environ_key] = session
            environ[f"{self.environ_key.removesuffix('.session')}.get_session"] = lambda: session
        answer = Answer(environ, session, self.options, start_response)
        return answer.run(self.app)

    def _open(self, environ: WSGIEnvironment) -> WSGISession:
        transport = self.options.transport
        make = functools.partial(
            WSGISession,
            self.options,
            peer=environ.get("REMOTE_ADDR"),
            user_agent=environ.get("HTTP_USER_AGENT", ""),
        )
        value = environ.get(self._variable)
        origin = self.options.origin_of(value)
        if origin is not None:
            return open_old(make, origin, load=self.client.direct)
        return open_presented(make, value, transport, _log, load=self.client.direct)
