"""Upkeep: what somebody must do for the store, once over all processes.

Whoever holds the lock on the file ``duty`` sweeps, syncs and looks for dead readers. A manager tries for it at each of
its wakeups; without one, a process that has written tries once a second from a daemon thread. So the library works
with no actor system running, and two managers do no harm.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CoatcheckError
from coatcheck.store.expiry import sweep
from coatcheck.store.files import DUTY, open_private
from coatcheck.store.refusals import Refusals
from coatcheck.store.synced import read_synced

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.sealing import Sealing
    from coatcheck.store.environment import Environment

ROUND: Final = 1.0
"""Seconds between two rounds."""

SWEEP_A_ROUND: Final = 20_000
OVERDUE: Final = 3.0
"""Seconds without a sync point, though there was something to sync, after which others than the duty holder make it."""

_STOP_WITHIN: Final = 2.0
_LAST_SYNC: Final = 1.0

_log = logging.getLogger("coatcheck.store")


class Upkeep:
    """The duties of one store, seen from this process."""

    def __init__(self, environment: Environment, clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lingers = False
        self._threadless = False
        self._behind = (-1, time.monotonic())
        self.background = False
        """Whether this process may have the thread."""
        self.refusals = Refusals()
        self.copies = False
        """Whether the sessions here are copies of what is kept elsewhere."""
        self.sealing: Sealing | None = None
        """What seals that which this process tells of, where the store is encrypted."""

    # The duty --------------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the duty if nobody has it; whether this process has it now."""
        with self._lock:
            if self._descriptor is not None:
                return True
            descriptor = open_private(self._environment.home / DUTY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                # Whoever has the duty makes the sync points; an old pin would only keep pages from being used again.
                self._environment.sync_points.drop_if_superseded()
                return False
            self._descriptor = descriptor
            return True

    @property
    def on_duty(self) -> bool:
        """Whether this process has the duty."""
        return self._descriptor is not None

    def release(self) -> None:
        """Leave the duty to somebody else."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    # What it consists of ---------------------------------------------------------------------------------------

    def sync(self, timeout: float = 10.0) -> bool:
        """Force what was committed, by any process, onto the disk; whether there was anything new."""
        environment = self._environment
        if environment.policy.durability == "second":
            return environment.sync_point(timeout)
        handle = environment.outside_transactions()
        try:
            handle.sync(True)
        finally:
            environment.leave()
        return True

    def is_overdue(self) -> bool:
        """Whether nobody has synced for a while what was written: who has the duty may be stopped, or stuck."""
        environment = self._environment
        if environment.policy.durability != "second":
            return False
        synced = read_synced(environment.home)
        now = time.monotonic()
        last = -1 if synced is None else synced.sequence
        if last != self._behind[0] or (synced is not None and environment.last_transaction() <= synced.transaction):
            self._behind = last, now
        return now - self._behind[1] > OVERDUE

    def reader_check(self) -> int:
        """Free the slots of readers that died; how many.

        A slot may be all that holds the last sync point, so a later one is made first.
        """
        self.sync()
        handle = self._environment.outside_transactions()
        try:
            dead: int = handle.reader_check()
        finally:
            self._environment.leave()
        return dead

    # Without a manager -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """See that the daemon thread of this process runs."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._stop = threading.Event()
                    thread = threading.Thread(target=self._run, name="coatcheck-upkeep", daemon=True)
                    self._thread = thread
                    try:
                        thread.start()
                    except RuntimeError:
                        # The process has as many as it may have, or it ends: that is no reason not to write.
                        self._thread, self._threadless = None, True
                        return
                    self._threadless = False
                    atexit.register(self.stop)

    def watch(self) -> None:
        """Start the thread, where this process may have one: it pins a sync point."""
        if self.background and not self._stop.is_set():
            self.start()

    def linger(self) -> None:
        """Nobody uses the store here any more, but its pin is still needed: close as soon as it is not."""
        self._lingers = True
        self.start()

    def renew(self, clock: Clock) -> None:
        """Somebody uses the store again."""
        self._clock = clock
        self._lingers = False
        # Not clear(): an exception out of a signal handler inside of it would leave the event locked for good.
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the thread, if there is one; sync what was written, and leave the duty."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if (thread is not None and thread is not threading.current_thread()) or self._threadless:
            if thread is not None:
                thread.join(_STOP_WITHIN)
                atexit.unregister(self.stop)
                if thread.is_alive():
                    return  # it waits for a writer that may be stopped, and leaves the duty when it ends
            # OSError: somebody may have removed the directory of a store that is not needed any more.
            with suppress(CoatcheckError, OSError):
                self.refusals.flush(self._environment, self._clock.now(), _LAST_SYNC, self.sealing)
                if self.acquire():
                    self.sync(_LAST_SYNC)
        self.release()

    def forget(self) -> None:
        """In a forked child: the thread is not here, and the duty stays with the parent."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = None
        self._threadless = False
        self.refusals.forget()
        if self._descriptor is not None:
            # Closing this copy keeps the lock of the parent; LOCK_UN would take it away.
            os.close(self._descriptor)
            self._descriptor = None

    def _run(self) -> None:
        environment = self._environment
        while not self._stop.wait(ROUND):
            if self._thread is not threading.current_thread():
                break
            if environment.upkeep is not self or not (environment.users or self._lingers):
                self._thread = None  # started by a verb that was overtaken by the last close
                self.release()
                return
            try:
                if self._left():
                    return
                self.tell()
                if self.acquire():
                    self.round()
                elif self.is_overdue():
                    self.sync()
            except CoatcheckError as error:
                _log.warning("upkeep: %s", error)
            except Exception:  # noqa: BLE001 - the thread must outlive what it does not foresee
                _log.exception("upkeep failed; it goes on with the next round")
        if self._thread is None:
            self.release()

    def _left(self) -> bool:
        """Whether the last user of the store has gone and it could be closed."""
        environment = self._environment
        if environment.users or not self._lingers:
            return False
        self.release()
        environment.sync_points.drop_if_superseded()
        if environment.close():
            self._thread = None
            atexit.unregister(self.stop)
            return True
        return False

    def tell(self) -> None:
        """Write what this process has to tell, whoever has the duty: refused tokens."""
        self.refusals.flush(self._environment, self._clock.now(), ROUND, self.sealing)

    def round(self) -> None:
        """One round of all duties."""
        sweep(self._environment, self._clock, SWEEP_A_ROUND, ROUND, pause=self._stop.wait)
        if self.sync():
            self.reader_check()
