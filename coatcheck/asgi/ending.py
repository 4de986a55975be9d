"""The end of a websocket whose session has ended: it is closed, whatever the application waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.asgi.session import ASGISession
    from coatcheck.asgi.watcher import Watcher

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SESSION_ENDED: Final = 1008
"""Close code of a websocket whose session has ended (RFC 6455: policy violation)."""

_REASON: Final = "session ended"


class SessionEnded(ConnectionAbortedError):
    """Something was sent to a websocket that was closed with its session. Applications see it as a disconnect."""


class Ending:
    """One websocket that ends with its session."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._scopes: set[Any] = set()
        self._ended = self._told = False
        self._stop: Callable[[], None] | None = None

    def watch(self, watcher: Watcher, session: ASGISession) -> None:
        """Begin, now that the handshake is over; without a session there is nothing that could end."""
        token = session.token
        if token is not None and session.is_stored:
            self._stop = watcher.watch(token, str(session.sid), call_in_loop(self._end))

    def over(self) -> None:
        """The application has returned."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    async def receive(self) -> Message:
        """What the browser sends; a disconnect once the session has ended, however long the browser is silent."""
        if not self._ended:
            import anyio

            with anyio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    return await self._receive()
                finally:
                    self._scopes.discard(scope)
        await self._close()
        return {"type": "websocket.disconnect", "code": SESSION_ENDED, "reason": _REASON}

    async def send(self, message: Message) -> None:
        """What the application sends. Raises SessionEnded, an OSError as of any lost connection."""
        if self._ended:
            await self._close()
            if message["type"] == "websocket.close":
                return
            raise SessionEnded(_REASON)
        if message["type"] == "websocket.close":
            self._told = True
        await self._send(message)

    def _end(self) -> None:
        """The session has ended; called in the loop."""
        if self._ended or self._told:
            return
        self._ended = True
        start_in_loop(self._close)
        for scope in self._scopes:
            scope.cancel()

    async def _close(self) -> None:
        if self._told:
            return
        self._told = True
        # The browser may be gone already, and each server says so in its own way.
        with contextlib.suppress(Exception):
            await self._send({"type": "websocket.close", "code": SESSION_ENDED, "reason": _REASON})


def require_anyio() -> None:
    """Raise ConfigurationError where the extra is missing."""
    try:
        import anyio  # noqa: F401 - to say what is missing
    except ModuleNotFoundError as error:
        msg = "close_websockets needs anyio: pip install 'coatcheck[asgi]'"
        raise ConfigurationError(msg) from error


def call_in_loop(call: Callable[[], None]) -> Callable[[], None]:
    """A function for other threads that has ``call`` called in the loop that runs here, as long as it runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return _quiet(trio.lowlevel.current_trio_token().run_sync_soon, call, trio.RunFinishedError)
    return _quiet(loop.call_soon_threadsafe, call, RuntimeError)


def _quiet(
    schedule: Callable[[Callable[[], None]], Any], call: Callable[[], None], over: type[Exception]
) -> Callable[[], None]:
    def calling() -> None:
        with contextlib.suppress(over):
            schedule(call)

    return calling


_running: Final[set[asyncio.Task[None]]] = set()  # a loop keeps only weak references to its tasks


def start_in_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Start it as a task of the loop that runs here."""

    async def task() -> None:
        await work()

    try:
        started = asyncio.get_running_loop().create_task(task())
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(task)
        return
    _running.add(started)
    started.add_done_callback(_running.discard)
