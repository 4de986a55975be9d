"""A circuit breaker: while Redis is known to be down, nobody waits for it to find that out.

It opens after a few failures in a row, of the connection or of patience; answers that are errors are answers. While it
is open every call fails at once, but one that is let through after a pause, to see. Pauses grow, with jitter, so that
many processes do not all come back at the same moment; the first success closes it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions as raised

from coatcheck.errors import StoreUnavailable

FAILURES: Final = 3
"""So many in a row open it."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0

_DOWN: Final = (raised.ConnectionError, raised.TimeoutError, raised.RedisClusterException, OSError)
_ANSWERED: Final = (raised.AuthenticationError, raised.AuthorizationError)
"""Redis-py counts these among the broken connections, but somebody has answered."""


class Pauses:
    """Seconds to wait after each failure in a row: twice as long each time, less up to a half by chance."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        """``longest``: no pause is longer, in seconds."""
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        """The next one."""
        pause, self._next = self._next, min(self._longest, self._next * 2)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - it only has to differ between processes

    def reset(self) -> None:
        """Something worked: begin with the shortest again."""
        self._next = self._first


class Circuit:
    """One for each place that Redis is at, for all threads of a process."""

    def __init__(
        self, failures: int = FAILURES, pauses: Pauses | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``failures`` in a row open it; ``pauses`` say when the next call may try."""
        self._limit = failures
        self._pauses = pauses or Pauses()
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._since: float | None = None
        self.opened = 0
        """How often it has opened."""

    @property
    def is_open(self) -> bool:
        """Whether Redis is taken for down."""
        return self._since is not None

    @property
    def open_for(self) -> float:
        """Seconds since it opened; 0.0 while it is closed."""
        since = self._since
        return 0.0 if since is None else self._clock() - since

    def enter(self) -> None:
        """Before a call. Raises StoreUnavailable while it is open, but for the one that is to try."""
        if self._since is None:
            return
        with self._lock:
            now = self._clock()
            if self._since is None:
                return
            if now >= self._open_until:
                # This caller finds out; the others do not wait with it.
                self._open_until = now + self._pauses.next()
                return
            msg = f"Redis cannot be reached, for {now - self._since:.1f} s now: it is tried again in a moment"
        raise StoreUnavailable(msg)

    def worked(self) -> None:
        """After a call that was answered."""
        if self._failures:
            with self._lock:
                self._failures = 0
                self._since = None
                self._pauses.reset()

    def failed(self) -> None:
        """After a call that was not answered."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._limit and self._since is None:
                now = self._clock()
                self._since, self._open_until = now, now + self._pauses.next()
                self.opened += 1

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around a call: ``enter``, then ``worked`` or ``failed``. What is raised inside is raised as it is."""
        self.enter()
        try:
            yield
        except _DOWN as error:
            self.worked() if isinstance(error, _ANSWERED) else self.failed()
            raise
        except raised.RedisError:
            self.worked()
            raise
        self.worked()
