"""The duty to follow: one process of each host has it, the actor that is made for it or, without one, any that asks.

Whoever holds the lock on the file ``follow`` has it. Beside following that means to sweep Redis, for all hosts, when
nobody else has done so in the last second, and to say how this host is doing.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import CoatcheckError
from coatcheck.redis.calls import Command
from coatcheck.redis.circuit import Pauses
from coatcheck.redis.shared.follower import Follower
from coatcheck.redis.shared.hosts import report
from coatcheck.store.files import open_private

if TYPE_CHECKING:
    from coatcheck.redis.shared.store import CachedStore

FOLLOW: Final = "follow"
"""The name of the lock in the state directory."""

WAIT: Final = 0.1
"""Seconds in which a step waits for something to happen."""

PAUSE: Final = 0.01
"""Seconds between two steps, in which events gather."""

TRY_EVERY: Final = 1.0
"""Seconds between two tries to get the duty."""

_SWEEP_A_ROUND: Final = 2_000
_SWEPT_FOR: Final = 900
_STOP_WITHIN: Final = 3.0

_log = logging.getLogger("coatcheck.redis")
_all: weakref.WeakSet[Following] = weakref.WeakSet()


class Following:
    """The duty of one store, seen from this process."""

    def __init__(self, store: CachedStore, *, sweeps: bool = True) -> None:
        """``sweeps``: whether who has the duty sweeps Redis too."""
        self._store = store
        self._sweeps = sweeps
        self.follower = Follower(store.local, store.verbs, store.shared.driver)
        self._descriptor: int | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._pauses = Pauses(0.05, 1.0)
        self._next_round = 0.0
        self._told = False
        _all.add(self)

    # The duty --------------------------------------------------------------------------------------------------

    @property
    def on_duty(self) -> bool:
        """Whether this process has it."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the duty if nobody has it; whether this process has it now. Raises ConfigurationError."""
        if self._descriptor is not None:
            return True
        descriptor = open_private(self._store.local.environment.home / FOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self.follower.leave()
        return True

    def release(self) -> None:
        """Leave the duty to somebody else."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def forget(self) -> None:
        """In a forked child: the thread is not here, and the duty stays with the parent."""
        self._thread, self._stop = None, threading.Event()
        self.release()  # closing this copy keeps the lock of the parent

    # What it consists of ---------------------------------------------------------------------------------------

    def turn(self, wait: float = WAIT) -> float:
        """Do what there is to do, and wait up to ``wait`` seconds for it; seconds until the next turn. Never raises."""
        try:
            if not self.acquire():
                return TRY_EVERY
            done = self.follower.step(wait)
            if time.monotonic() >= self._next_round:
                self._next_round = time.monotonic() + 1.0
                self._round()
        except CoatcheckError as error:
            if not self._told:
                self._told = True
                _log.warning("what other hosts do is not heard; Redis is asked for each session: %s", error)
            return self._pauses.next()
        if self._told:
            self._told = False
            _log.warning("what other hosts do is heard again")
        self._pauses.reset()
        return 0.0 if done.behind else PAUSE

    def _round(self) -> None:
        store, run = self._store, self._store.shared.driver.run
        run(report(store, self.follower))
        if self._sweeps and run(_first(store)):
            run(store.verbs.sweep(_SWEEP_A_ROUND))

    # Without an actor ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """See that the daemon thread of this process runs."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="coatcheck-follower", daemon=True)
        self._thread = thread
        self._stop = threading.Event()
        try:
            thread.start()
        except RuntimeError:
            self._thread = None  # no more threads here: Redis is asked for everything
            return
        atexit.register(self.stop)

    def _run(self) -> None:
        stop, pause = self._stop, 0.0
        while not stop.wait(pause):
            try:
                pause = self.turn()
            except Exception:  # noqa: BLE001 - the thread must outlive what it does not foresee
                _log.exception("the follower failed; it goes on in a moment")
                self.follower.leave()
                pause = 1.0
        self.release()

    def stop(self) -> None:
        """End the thread, if there is one, and leave the duty."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_WITHIN)
            atexit.unregister(self.stop)
            if thread.is_alive():
                return  # it waits for Redis, and leaves the duty when it ends
        self.release()


def _first(store: CachedStore) -> Any:
    """Whether nobody has swept in the last second."""
    key = store.verbs.layout.of_tag("0") + b"swept"
    reply = yield Command("SET", (key, b"1", "NX", "PX", _SWEPT_FOR))
    return reply is not None


def _after_fork() -> None:
    for each in list(_all):
        with suppress(OSError):
            each.forget()


os.register_at_fork(after_in_child=_after_fork)
