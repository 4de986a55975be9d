"""Session: what an application sees of a session, a dict that is committed at the end of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from coatcheck.errors import StoreUnavailable
from coatcheck.session_auth import SessionAuth
from coatcheck.session_origin import UNLOADED
from coatcheck.session_outage import FAILED

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.contract import Reason

_Made = TypeVar("_Made", bound="Session")


class Session(SessionAuth):
    """A session as a dict with text keys, made by ``client.open``.

    What is changed, nested values included, is applied by :meth:`commit`, in one transaction, to the session as the
    store has it then: parallel requests keep each other's keys. One thread at a time may use it. ``repr`` shows
    neither data nor token; a copy and a pickle are plain dicts.
    """

    __slots__ = ()

    # What is known about it ------------------------------------------------------------------------------------

    @property
    def new(self) -> bool:
        """Whether there was no session when this one was opened."""
        return self._loaded() is None or self._created

    @property
    def sid(self) -> str | None:
        """32 hex digits, not a secret; None while nothing is stored."""
        record = self._loaded()
        return None if record is None else record.sid

    @property
    def created_at(self) -> int | None:
        """Microseconds UTC; None while nothing is stored."""
        record = self._loaded()
        return None if record is None else record.created_at

    @property
    def last_seen_at(self) -> int | None:
        """Microseconds UTC, before this request; None while nothing is stored."""
        record = self._loaded()
        return None if record is None else record.last_seen_at

    @property
    def expires_at(self) -> int | None:
        """Microseconds UTC, when it would end without further use; None while nothing is stored."""
        record = self._loaded()
        return None if record is None else record.expires_at

    @property
    def absolute_expires_at(self) -> int | None:
        """Microseconds UTC, when it ends however much it is used; None while nothing is stored."""
        record = self._loaded()
        return None if record is None else record.absolute_expires_at

    @property
    def lifetimes(self) -> Lifetimes | None:
        """Its lifetimes, in seconds; None while nothing is stored or set."""
        record = self._loaded()
        pending = self._pending
        if pending is not None and pending.lifetimes is not None:
            return pending.lifetimes
        return None if record is None else record.lifetimes

    @property
    def meta(self) -> dict[str, Any]:
        """What was noted about the device; a copy."""
        record = self._loaded()
        return {} if record is None else record.meta

    @property
    def reason(self) -> Reason | None:
        """Why the token that was presented has no session; None when it has, and when there was none."""
        self._loaded()
        return self._reason

    @property
    def retired_ago(self) -> float | None:
        """Seconds since the presented token was rotated out; None unless that is the ``reason``."""
        self._loaded()
        return self._retired_ago

    @property
    def in_grace(self) -> bool:
        """Whether the token that was presented has been rotated out and is in its grace."""
        record = self._loaded()
        return record is not None and record.in_grace

    @property
    def is_stored(self) -> bool:
        """Whether the store has it, as far as is known without asking."""
        return self._token is not None and self._record is not None

    @property
    def token(self) -> str | None:
        """The token that the browser should hold, as of the last commit. For the cookie, never for a page or a log."""
        return self._token

    def owns_token(self) -> bool:
        """Whether the token is the session's one and only at this moment: only then a response may repeat it.

        False as well when the store cannot be asked, or could not be in this request.
        """
        if self._token is None or self._borrowed or self.outage is not None:
            return False
        try:
            record = self._client.store.load(self._token, touch=False)
        except StoreUnavailable:
            return False
        return record is not None and not record.in_grace

    @property
    def may_be_unavailable(self) -> bool:
        """Whether its use may raise, now or later, because the store cannot be asked."""
        return self._state in (UNLOADED, FAILED)

    @property
    def is_unanswered(self) -> bool:
        """Whether it could not be loaded, whatever comes of that."""
        return self._state == FAILED or self._cut_off

    def set_lifetimes(self, lifetimes: Lifetimes) -> None:
        """Other lifetimes for this session. The absolute one goes on counting from where it started."""
        self._changes().lifetimes = lifetimes

    # For asyncio and trio -------------------------------------------------------------------------------------

    async def aload(self) -> None:
        """The twin of ``load`` for asyncio and trio."""
        if self.origin is not None:
            await self._client.runner.in_thread(self.load, finish=True)  # the old store may be anywhere
        else:
            await self._client.runner.read(self.load, finish=True)

    async def areload(self) -> None:
        """The twin of ``reload`` for asyncio and trio."""
        if self.origin is not None:
            await self._client.runner.in_thread(self.reload, finish=True)
        else:
            await self._client.runner.write(self.reload, finish=True)

    async def acommit(self) -> str | None:
        """The twin of ``commit`` for asyncio and trio."""
        return await self._client.runner.write(self.commit, finish=True)

    async def atake_flashes(self) -> list[FlashMessage]:
        """The twin of ``take_flashes`` for asyncio and trio."""
        return await self._client.runner.write(self.take_flashes, finish=True)

    async def aabandon(self) -> None:
        """The twin of ``abandon`` for asyncio and trio."""
        await self._client.runner.write(self.abandon, finish=True)

    def __repr__(self) -> str:
        if self._state == UNLOADED:
            return f"<{type(self).__name__} not loaded>"
        if self._state == FAILED:
            return f"<{type(self).__name__} unavailable>"
        handle = "new" if self._record is None else self._record.handle
        return f"<{type(self).__name__} {handle}, {dict.__len__(self)} keys>"


def open_first(make: Callable[[str | None], _Made], tokens: Iterable[str], *, more: bool = False) -> _Made:
    """Of the sessions of several tokens the first that is live; else the first, which is new and empty.

    ``make`` opens the session of a token. An unavailable store leaves the first one for which it was.

    ``more``: there are others that are not looked at. The live one may be among them, so where none of these is, the
    browser's cookie is neither removed nor replaced.
    """
    first: _Made | None = None
    for token in tokens:
        session = make(token)
        session.load()
        if session._record is not None:  # noqa: SLF001 - of the same class
            return session
        if first is None or (session.is_unanswered and not first.is_unanswered):
            first = session
    if first is None:
        return make(None)
    if more:
        first._borrowed = True  # noqa: SLF001
    return first
