"""Places: how many may do something at a time, where an exception may come at any moment.

A signal handler may raise between any two steps, as the time limits of workers do, or ask for a place itself. Python's
own semaphores are held for good then, by nobody, and everybody else waits for ever. So a place is an object, and it is
free again when nobody has it any more; what counts them is the interpreter, in one step.
"""

from __future__ import annotations

import weakref
from typing import Final

from coatcheck.store.gate import Backoff

_LONGEST_PAUSE: Final = 0.002


class _Anchor:
    __slots__ = ("__weakref__",)


class Place(weakref.ref[_Anchor]):
    """One place. Dropping it gives it back."""

    __slots__ = ()


class Places:
    """A number of places."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._anchor = _Anchor()

    def take(self, timeout: float) -> Place | None:
        """A place for the caller; None when there is none for ``timeout`` seconds."""
        place: Place | None = Place(self._anchor)
        if self.taken <= self.size:
            return place
        backoff = Backoff(max(0.0, timeout))
        while True:
            place = None  # while it waits, it has none
            if not backoff.wait(_LONGEST_PAUSE):
                return None
            place = Place(self._anchor)
            if self.taken <= self.size:
                return place

    @property
    def taken(self) -> int:
        """How many there are that somebody has."""
        return weakref.getweakrefcount(self._anchor)
