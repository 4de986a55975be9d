"""Private endpoints to the actor system: a bounded number in each process, each used by one caller at a time.

An endpoint goes back into the pool only after an exchange that went well. After anything else it is destroyed: a late
answer may still be on its way to it, and an idle endpoint that nobody reads holds a place in the manager's queue.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from coatcheck.client.places import Place, Places

if TYPE_CHECKING:
    from coatcheck.messages import Reply, Request

_IDLE: Final = 60.0


class Endpoint(Protocol):
    """Something that can ask an actor."""

    place: Place | None
    """What it is in use by; dropped with it, where nobody gives it back."""

    def call(self, target: Any, request: Request, timeout: float) -> Reply:
        """The reply with the request's id, waited for up to ``timeout`` seconds."""

    def exit_context(self) -> None:
        """Give back its sockets. Never used again."""


class Pool:
    """The endpoints of one process that was joined to one system."""

    def __init__(self, make: Callable[[], Endpoint], size: int) -> None:
        """``make`` opens an endpoint; ``size`` is how many there may be."""
        self._make = make
        self.places = Places(size)
        # The one used last is used next, so that those not needed grow old.
        self._idle: deque[tuple[Endpoint, float]] = deque()
        self._closed = False

    def take(self, timeout: float) -> Endpoint | None:
        """An endpoint for the caller alone; None when all are in use for ``timeout`` seconds. Raises OSError."""
        place = self.places.take(timeout)
        if place is None:
            return None
        try:
            endpoint, _ = self._idle.pop()
        except IndexError:
            endpoint = self._make()
        endpoint.place = place
        return endpoint

    def give_back(self, endpoint: Endpoint) -> None:
        """It has brought the answer to what it was used for."""
        now = time.monotonic()
        if self._closed:
            self.destroy(endpoint)
            return
        endpoint.place = None
        self._idle.append((endpoint, now))
        self._drop_old(now)

    def destroy(self, endpoint: Endpoint) -> None:
        """It may be out of step: nobody uses it again."""
        try:
            endpoint.exit_context()
        finally:
            endpoint.place = None

    def close(self) -> None:
        """Destroy those that are idle; those in use follow when they come back."""
        self._closed = True
        while True:
            try:
                endpoint, _ = self._idle.popleft()
            except IndexError:
                return
            endpoint.exit_context()

    def _drop_old(self, now: float) -> None:
        try:
            endpoint, since = self._idle[0]
            if now - since <= _IDLE:
                return
            # Somebody else may have taken it in between; what is popped now is nobody else's in any case.
            endpoint, _ = self._idle.popleft()
        except IndexError:
            return
        endpoint.exit_context()
