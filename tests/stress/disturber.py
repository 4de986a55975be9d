"""Makes the manager slow, and kills it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tests.chaos.killer import find
from tests.chaos.ledger import Ledger

KILL_EACH: Final = 1.0
"""Seconds."""

STOPPED: Final = (0.01, 0.2)
"""Seconds for which it is stopped, at least and at most."""

BETWEEN: Final = (0.05, 0.6)
"""Seconds for which it is left alone."""


class Disturber(threading.Thread):
    """Stops and continues the manager at random moments, and each second kills it with SIGKILL."""

    def __init__(self, runner: int, opened: Callable[[], int], ledger: Ledger, seed: int) -> None:
        """``opened``: how many managers have opened the store until now."""
        super().__init__(name="disturber")
        self._opened = opened
        self._open_at_kill = -1
        self._runner = runner
        self._ledger = ledger
        self._random = random.Random(seed)
        self._enough = threading.Event()
        self._next_kill = 0.0
        self.stops = 0
        """How often it was stopped."""

    def run(self) -> None:
        """Until told to end."""
        self._next_kill = time.monotonic() + KILL_EACH
        while not self._wait(BETWEEN):
            for pid in find("manager", self._runner, {}):
                with suppress(ProcessLookupError):
                    self._disturb(pid)

    def _wait(self, seconds: tuple[float, float]) -> bool:
        return self._enough.wait(self._random.uniform(*seconds))

    def _disturb(self, pid: int) -> None:
        """Half of the kills come while it is at work, half while it is stopped."""
        # On a busy machine a start takes longer than a second: one that is killed before it has served tests nothing.
        due = time.monotonic() >= self._next_kill and self._opened() > self._open_at_kill
        if due and self._random.random() < 0.5:
            self._kill(pid)
            return
        os.kill(pid, signal.SIGSTOP)
        self.stops += 1
        self._wait(STOPPED)
        if due:
            self._kill(pid)
        os.kill(pid, signal.SIGCONT)

    def _kill(self, pid: int) -> None:
        self._ledger.killed("manager", pid)
        self._open_at_kill = self._opened()
        os.kill(pid, signal.SIGKILL)
        self._next_kill = time.monotonic() + KILL_EACH

    def stop(self) -> None:
        """No more."""
        self._enough.set()
        self.join()
