"""The rounds of a manager: sweep, sync and readers, whenever it has the duty. Needs no Thespian."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from coatcheck.actors.jobs import Jobs
from coatcheck.errors import CoatcheckError, StoreUnavailable
from coatcheck.store.gate import GateBusy
from coatcheck.store.upkeep import ROUND

if TYPE_CHECKING:
    from coatcheck.store.lmdb import LmdbStore

SYNC: Final = "sync"
"""The queue of syncs: an fsync of a large store takes a tenth of a second and more."""

_BATCH: Final = 400
_SHORTEST_PAUSE: Final = 0.002
_BUSY_PAUSE: Final = 0.005


class Rounds:
    """What to do at each wakeup, and when the next one is due."""

    def __init__(self, store: LmdbStore, jobs: Jobs) -> None:
        self._store = store
        self._jobs = jobs
        self._next_sync = time.monotonic() + ROUND
        self._next_tell = 0.0
        self.on_duty = False
        """Whether this process has the duty."""
        self.removed = 0
        """Sessions swept since it started."""
        self.behind = False
        """Whether entries that are due remain."""
        self.last_error: BaseException | None = None
        """What went wrong in the last round, if anything did."""

    def step(self) -> float:
        """Do what is due, for about two milliseconds; the seconds until there is more to do."""
        self.last_error = None
        try:
            self._tell_if_due()
            self.on_duty = self._store.upkeep.acquire()
            if not self.on_duty:
                self.behind = False
                if self._store.upkeep.is_overdue() and not self._jobs.waiting(SYNC):
                    self._jobs.submit(SYNC, self._store.sync, self._synced)
                return ROUND
            self._sync_if_due()
            return self._sweep()
        except CoatcheckError as error:
            self.last_error = None if isinstance(error, StoreUnavailable) else error
            return ROUND

    def _sync_if_due(self) -> None:
        now = time.monotonic()
        if now < self._next_sync or self._jobs.waiting(SYNC):
            return
        self._next_sync = now + ROUND
        self._jobs.submit(SYNC, self._sync, self._synced)

    def _tell_if_due(self) -> None:
        """Write what this process has refused, whoever has the duty; at most once a round."""
        now = time.monotonic()
        if self._store.upkeep.refusals and now >= self._next_tell and not self._jobs.waiting(SYNC):
            self._next_tell = now + ROUND
            self._jobs.submit(SYNC, self._store.upkeep.tell, self._synced)

    def _sync(self) -> None:
        self._store.sync()
        self._store.reader_check()

    def _synced(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self.last_error = result

    def _sweep(self) -> float:
        # Another writer's turn is worth more than a sweep: it comes again.
        try:
            with self._store.no_wait():
                report = self._store.sweep_batch(_BATCH)
        except GateBusy:
            return _BUSY_PAUSE
        self.removed += report.removed
        self.behind = report.more
        if not report.more:
            return max(0.0, min(ROUND, self._next_sync - time.monotonic()))
        return max(report.seconds, _SHORTEST_PAUSE)

    def leave(self) -> None:
        """Leave the duty to somebody else."""
        if self.on_duty:
            self.on_duty = False
            self._store.upkeep.release()
