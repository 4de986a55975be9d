"""Makes the manager slow, and kills it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
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

    def __init__(self, runner: int, ledger: Ledger, seed: int) -> None:
        super().__init__(name="disturber")
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
        if time.monotonic() >= self._next_kill and self._random.random() < 0.5:
            self._kill(pid)
            return
        os.kill(pid, signal.SIGSTOP)
        self.stops += 1
        self._wait(STOPPED)
        if time.monotonic() >= self._next_kill:
            self._kill(pid)
        os.kill(pid, signal.SIGCONT)

    def _kill(self, pid: int) -> None:
        self._ledger.killed("manager", pid)
        os.kill(pid, signal.SIGKILL)
        self._next_kill = time.monotonic() + KILL_EACH

    def stop(self) -> None:
        """No more."""
        self._enough.set()
        self.join()
