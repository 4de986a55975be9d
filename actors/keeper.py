"""Keeping one child alive: when to start it, when to believe that it ended, when to lose patience.

Needs no Thespian.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

LATELY: Final = 60.0
"""Seconds: a child that was started again several times within them does not stay up."""

SILENCE: Final = 10.0
"""Seconds without a word after which a child is taken for hung."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LOOK: Final = 0.1
_SETTLED: Final = 0.5
"""Seconds after which a child that has spoken did not end at once."""


class Keeper:
    """What is known of one child. Addresses are only ever compared, so any kind of them will do."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``name`` is that of its class, for reports."""
        self.name = name
        self._clock = clock
        self._address: Any = None
        self._real: Any = None
        self._not_before = 0.0
        self._pause = 0.0
        self._started = 0.0
        self._seen = 0.0
        self._starts: deque[float] = deque(maxlen=100)
        self.pid: int | None = None
        """Its process, once it has said so."""
        self.restarts = -1
        """How often it was started again."""

    @property
    def address(self) -> Any:
        """Where it is: as itself says once it has spoken; None when there is none."""
        return self._real or self._address

    @property
    def alive(self) -> bool:
        """Whether it has spoken since it was started."""
        return self._real is not None

    @property
    def starting(self) -> bool:
        """Whether it was started and has not spoken yet."""
        return self._address is not None and self._real is None

    def due(self) -> bool:
        """Whether to start it now."""
        return self._address is None and self._clock() >= self._not_before

    def started(self, address: Any) -> None:
        """It was started, under this address."""
        self._address, self._real, self.pid = address, None, None
        self._started = self._seen = self._clock()
        self.restarts += 1
        if self.restarts:
            self._starts.append(self._started)

    def spoke(self, sender: Any, pid: int) -> bool:
        """Somebody who may be the child has spoken; whether it is."""
        if not self._is_child(sender):
            return False
        self._real, self.pid = sender, pid
        self._seen = self._clock()
        return True

    def ended(self, address: Any) -> bool:
        """Somebody ended; whether that was the child.

        Thespian may say so twice, the second time after its successor was started: so addresses are compared.
        """
        if not self._is_child(address):
            return False
        now = self._clock()
        if self.alive and now - self._started > _SETTLED:
            self._pause = 0.0
        self._not_before = now + self._pause
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        self._address = self._real = self.pid = None
        return True

    def _is_child(self, address: Any) -> bool:
        return self._address is not None and address in (self._address, self._real)

    def hung(self) -> bool:
        """Whether it has been silent for too long."""
        return self._address is not None and self._clock() - self._seen > SILENCE

    def wait(self) -> float:
        """Seconds until something is to be done about it."""
        if self._address is None:
            return max(0.0, self._not_before - self._clock())
        return _LOOK if self.starting else 1.0

    def describe(self, address: Callable[[Any], str]) -> Mapping[str, Any]:
        """The child as it stands in a report; ``address`` turns an address into text."""
        state = "absent" if self._address is None else "alive" if self.alive else "starting"
        return {
            "actor": self.name,
            "address": address(self._real) if self._real is not None else None,
            "pid": self.pid,
            "state": state,
            "restarts": max(0, self.restarts),
            "restarts_lately": sum(self._clock() - each < LATELY for each in self._starts),
            "seen": round(self._clock() - self._seen, 3) if self.alive else None,
        }
