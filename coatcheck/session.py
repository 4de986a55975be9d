"""Session: what an application sees of a session, a dict that is committed at the end of the request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from coatcheck.errors import CoatcheckError, RequestTimeout, SessionMissing, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.session_life import FAILED, UNLOADED, SessionLife
from coatcheck.tracking import Login, Pending

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.contract import Reason
    from coatcheck.store.record import Record

_Made = TypeVar("_Made", bound="Session")


class Session(SessionLife):
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
    def principal(self) -> str | None:
        """Whom it is bound to, a login that is not committed yet included."""
        record = self._loaded()
        pending = self._pending
        if pending is not None and pending.login is not None:
            return pending.login.principal
        return None if record is None else record.principal

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

        False as well when the store cannot be asked.
        """
        if self._token is None or self._borrowed:
            return False
        try:
            record = self._client.store.load(self._token, touch=False)
        except StoreUnavailable:
            return False
        return record is not None and not record.in_grace

    def _loaded(self) -> Record | None:
        if self._state in (UNLOADED, FAILED):
            self._ready()
        return self._record

    # What takes effect in commit -------------------------------------------------------------------------------

    def flash(self, message: str, level: str = "info", title: str | None = None) -> None:
        """Put a message into the mailbox; it is shown once, usually by the next page."""
        flash = FlashMessage(level, message, title)
        self._changes().flashes.append(flash)

    def login(
        self, principal: str, lifetimes: Lifetimes | None = None, *, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Bind the session to a principal, under a new token (ASVS 7.2.4).

        A session of another principal loses its data and flashes first, changes of this request included.
        """
        if not isinstance(principal, str) or not principal:
            msg = f"a principal is a non-empty str, not {type(principal).__name__}: use str(user.id)"
            raise TypeError(msg)
        pending = self._changes()
        record = self._record
        if record is not None and record.principal not in (None, principal):
            dict.clear(self)
            self._handed_out.clear()
            self._taken = True
            pending.forget_data()
            pending.flashes.clear()
        pending.login = Login(principal, meta)
        if lifetimes is not None:
            pending.lifetimes = lifetimes

    def rotate(self, grace: float = 0.0) -> None:
        """A new token for the same session; the old one works ``grace`` seconds longer."""
        pending = self._changes()
        if self._record is not None:
            pending.rotation = grace

    def logout(self) -> None:
        """End the session. What is written afterwards starts a new one."""
        pending = self._changes()
        ending = pending.logged_out
        if ending is None and self._record is not None and self._token is not None:
            ending = (self._token, self._record)
        dict.clear(self)
        self._handed_out.clear()
        self._token = self._record = None
        self._pending = pending = Pending()
        pending.logged_out = ending

    def set_lifetimes(self, lifetimes: Lifetimes) -> None:
        """Other lifetimes for this session. The absolute one goes on counting from where it started."""
        self._changes().lifetimes = lifetimes

    # The mailbox -----------------------------------------------------------------------------------------------

    def flashes(self) -> list[FlashMessage]:
        """The flashes in the mailbox, oldest first, those of this request included; looking does not take."""
        self._reads()
        pending = self._pending
        waiting = [] if pending is None else list(pending.flashes)
        if self._record is None or self._taken or (pending is not None and pending.flashes_replaced):
            return waiting
        return self._record.flashes + waiting

    def take_flashes(self) -> list[FlashMessage]:
        """Take all flashes, at once: each is taken by one request. :meth:`abandon` gives them back."""
        self._reads()
        pending = self._pending
        taken: list[FlashMessage] = []
        if not (self._record is None or self._token is None or (pending is not None and pending.flashes_replaced)):
            taken = self._take_stored(self._token)
        if pending is not None:
            # Only now: where the store could not be asked, those of this request still wait, for another try.
            taken, pending.flashes = taken + pending.flashes, []
        return taken

    def _take_stored(self, token: str) -> list[FlashMessage]:
        # Under an id that is known here before the store is asked: where the answer is lost, this asks for it again, or
        # gives back what nobody has seen.
        asked_before = self._unanswered
        self._unanswered = request_id = asked_before or os.urandom(16)
        taken: list[FlashMessage] = []
        try:
            take_id, taken = self._client.store.take_flashes(token, request_id=request_id)
        except RequestTimeout:
            raise
        except SessionMissing:
            pass  # the commit will say so
        except CoatcheckError:
            self._unanswered = asked_before  # nothing was taken this time
            raise
        if taken:
            self._takes.append(take_id)
        self._unanswered = None
        self._taken = True
        return taken

    # For asyncio ---------------------------------------------------------------------------------------------

    async def aload(self) -> None:
        """The twin of ``load`` for asyncio."""
        await self._client.runner.read(self.load)

    async def areload(self) -> None:
        """The twin of ``reload`` for asyncio."""
        await self._client.runner.write(self.reload)

    async def acommit(self) -> str | None:
        """The twin of ``commit`` for asyncio."""
        return await self._client.runner.write(self.commit)

    async def atake_flashes(self) -> list[FlashMessage]:
        """The twin of ``take_flashes`` for asyncio."""
        return await self._client.runner.write(self.take_flashes)

    async def aabandon(self) -> None:
        """The twin of ``abandon`` for asyncio."""
        await self._client.runner.write(self.abandon)

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
        if first is None or (session._state == FAILED and first._state != FAILED):  # noqa: SLF001
            first = session
    if first is None:
        return make(None)
    if more:
        first._borrowed = True  # noqa: SLF001
    return first
