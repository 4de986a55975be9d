"""Whoever kills: any process of the site, at random moments, with SIGKILL."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from coatcheck.system import process
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage
from tests.support.servers import WebServer

KINDS: Final = ("worker of direct", "worker of actor", "manager", "supervisor", "logger", "admin", "runner")
SHORTEST, LONGEST = 0.2, 1.2
"""Seconds between two kills."""


class Killer(threading.Thread):
    """Kills one process after the other until it is told to stop."""

    def __init__(self, stage: Stage, ledger: Ledger, seed: int) -> None:
        super().__init__(name="killer")
        self._stage = stage
        self._ledger = ledger
        self._random = random.Random(seed)
        self._enough = threading.Event()
        self._queue: list[str] = []

    def run(self) -> None:
        """Each kind once in an order of chance, then again in another one."""
        while not self._enough.wait(self._random.uniform(SHORTEST, LONGEST)):
            if not self._queue:
                self._queue = self._random.sample(KINDS, len(KINDS))
            # What is not there just now, killed before and not started again yet, has its turn later.
            kind = next((each for each in self._queue if self._kill(each)), None)
            if kind is not None:
                self._queue.remove(kind)

    def stop(self) -> None:
        """No more."""
        self._enough.set()
        self.join()

    def _kill(self, kind: str) -> bool:
        """Whether one of that kind was there."""
        pids = find(kind, self._stage.runner, self._stage.servers)
        if not pids:
            return False
        pid = self._random.choice(sorted(pids))
        # Written down first: what it breaks may be noticed at once.
        self._ledger.killed(kind, pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True


def find(kind: str, runner: int | None, servers: Mapping[str, WebServer]) -> list[int]:
    """The processes of a kind that live just now."""
    if kind.startswith("worker"):
        return servers[kind.rpartition(" ")[2]].workers()
    if kind == "runner" or runner is None:
        return [] if runner is None else [runner]
    admins = [pid for pid in _children(runner) if _leads(pid, runner)]
    if kind == "admin":
        return admins
    below = [pid for admin in admins for pid in _children(admin)]
    supervisors = [pid for pid in below if _children(pid)]
    if kind == "supervisor":
        return supervisors
    if kind == "manager":
        return [pid for each in supervisors for pid in _children(each)]
    # Its logger is the other child of the admin, when the supervisor is there to be told apart.
    return [pid for pid in below if pid not in supervisors] if supervisors else []


def _children(pid: int) -> list[int]:
    return [each for each in process.children(pid) if process.alive(each)]


def _leads(pid: int, runner: int) -> bool:
    try:
        return os.getsid(pid) != os.getsid(runner)
    except ProcessLookupError:
        return False
