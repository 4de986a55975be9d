"""The mailbox of a session: flashes that wait, are taken by one request, and are given back when it fails."""

from __future__ import annotations

import os

from coatcheck.errors import CoatcheckError, RequestTimeout, SessionMissing, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.session_outage import SessionOutage
from coatcheck.store.gate import GateBusy


class SessionMailbox(SessionOutage):
    """What a session does with its flashes."""

    __slots__ = ("_taken", "_takes", "_unanswered")

    _taken: bool
    _takes: list[str]
    _unanswered: bytes | None

    def flash(self, message: str, level: str = "info", title: str | None = None) -> None:
        """Put a message into the mailbox; it is shown once, usually by the next page."""
        flash = FlashMessage(level, message, title)
        self._changes().flashes.append(flash)

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
            taken = self._take_or_leave(self._token)
        if pending is not None:
            # Only now: where the store could not be asked, those of this request still wait, for another try.
            taken, pending.flashes = taken + pending.flashes, []
        return taken

    def _take_or_leave(self, token: str) -> list[FlashMessage]:
        try:
            return self._take_stored(token)
        except StoreUnavailable as error:
            if not self._goes_on_after(error):
                raise
            # They stay where they are, for a page that can take them: shown now, they would be shown again.
            self._go_on_without(error)
            return []

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

    def give_back(self) -> None:
        """Put back the flashes that were taken, as they were not shown. Best effort: the store may be away."""
        pending = self._pending
        ending = None if pending is None else pending.logged_out
        token = ending[0] if ending is not None else self._token
        takes = self._takes
        if self._unanswered is not None:
            # Carried out or not: its answer did not come, so nobody has seen what it took.
            takes.append(self._unanswered.hex())
            self._unanswered = None
        while takes:
            if token is not None:
                self._restore(token, takes[0])
            del takes[0]
        if token is not None:
            self._taken = False

    def give_back_unanswered(self) -> None:
        """Put back what a take took whose answer did not come. Best effort, likewise."""
        if self._unanswered is not None:
            if self._token is not None:
                self._restore(self._token, self._unanswered.hex())
            self._unanswered = None

    def _restore(self, token: str, take_id: str) -> None:
        try:
            self._client.store.restore_flashes(token, take_id)
        except GateBusy:
            raise  # not given up: a twin for asyncio comes again in a thread that waits
        except StoreUnavailable:
            self._client.restore_soon(token, take_id)
        except SessionMissing:
            pass
