"""ASGISession: ``scope["session"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coatcheck.session_origin import UNLOADED
from coatcheck.web.session import WebSession

if TYPE_CHECKING:
    from coatcheck.web.options import WebOptions


class SessionNotLoaded(RuntimeError):
    """A lazy session was used before ``await load_session(request)``."""


class ASGISession(WebSession):
    """A dict, loaded when the application sees it; everything that waits has its twin to be awaited.

    ``await session.acommit()`` saves now, as inside a stream or a websocket; ``await session.atake_flashes()`` takes
    the flashes. Everything else notes what the commit will do, and waits for nobody.
    """

    __slots__ = ("_lazy",)

    def __init__(
        self,
        options: WebOptions,
        token: str | None = None,
        *,
        peer: str | None = None,
        user_agent: str = "",
        lazy: bool = False,
    ) -> None:
        """Made by the middleware."""
        WebSession.__init__(self, options, token, peer=peer, user_agent=user_agent)
        self._lazy = lazy

    def _ready(self) -> None:
        if self._lazy and self._state == UNLOADED:
            # Loading it here could wait, and the loop with it.
            msg = "the session is lazy: `await load_session(request)` before it is used"
            raise SessionNotLoaded(msg)
        WebSession._ready(self)  # noqa: SLF001 - of the same class


async def load_session(connection: Any) -> ASGISession:
    """The session of a request or websocket, loaded; needed where the middleware is ``lazy``, harmless elsewhere.

    ``connection``: a Starlette or FastAPI ``Request`` or ``WebSocket``, anything else with a ``scope``, or the scope.
    Raises RuntimeError where there is no such middleware. A store that cannot be asked raises when the session is used.
    """
    session = session_in(connection)
    await session.aload()
    return session


def session_in(connection: Any) -> ASGISession:
    """The session of a request or websocket as it is. Raises RuntimeError where the middleware is missing."""
    scope = connection if isinstance(connection, dict) else connection.scope
    session = scope.get("session")
    if not isinstance(session, ASGISession):
        found = "nothing" if session is None else f"a {type(session).__module__}.{type(session).__name__}"
        msg = f"scope['session'] is {found}: add coatcheck.asgi.SessionMiddleware to the application"
        raise RuntimeError(msg)  # noqa: TRY004 - a middleware is missing; the argument is right
    session.mark_accessed()
    return session
