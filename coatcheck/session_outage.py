"""What a session does when the store cannot be asked: whether that is a reason to fail, and what it goes on as."""

from __future__ import annotations

from typing import Final

from coatcheck.errors import CoatcheckError, StoreUnavailable
from coatcheck.session_origin import SessionOrigin
from coatcheck.store.gate import GateBusy
from coatcheck.tracked import READY

FAILED: Final = 2
"""The state of a session whose use raises."""


class SessionOutage(SessionOrigin):
    """How a session meets an outage."""

    __slots__ = ("_cut_off", "_error", "_lenient", "outage")

    outage: StoreUnavailable | None
    """Why the store could not be asked in this request, where that was no reason to fail; else None."""

    _error: CoatcheckError
    _cut_off: bool
    """Whether nothing of it reaches the store, which could not say whose it is."""

    _lenient: bool

    def _unavailable(self, error: StoreUnavailable) -> None:
        if self._lenient or self._client.settings.on_outage == "anonymous":
            self._go_on_without(error)
            self._cut_off, self._state = True, READY
        else:
            self._error = error
            self._state = FAILED
            self._client.count("outage")

    def raise_no_more(self) -> None:
        """From now on an outage makes it a new and empty session: the answer is made, and nobody could be told."""
        self._lenient = True
        if self._state == FAILED and isinstance(self._error, StoreUnavailable):
            self._unavailable(self._error)

    def _goes_on_after(self, error: StoreUnavailable) -> bool:
        """Whether this outage is no reason to fail. A twin for asyncio has to see that the gate is busy."""
        return self._client.settings.on_outage != "503" and not isinstance(error, GateBusy)

    def _go_on_without(self, error: StoreUnavailable) -> None:
        self.outage = error
        self._client.note_outage(error)
