"""Samples for the charts: what the store holds, and what all processes have done since the sample before."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from coatcheck.admin.dashboard.history import History
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from coatcheck.admin.dashboard.desk import Desk
    from coatcheck.store.contract import StoreStats

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "loads": ("store.load",),
    "writes": tuple(f"store.{each}" for each in "create save touch rotate login flash take deleted revoked".split()),
    "refused": tuple(f"store.absent_{each}" for each in "forged unknown retired".split()),
    "swept": ("store.swept",),
}
"""Rates that charts have, and the counters that each is made of."""


class Sampler:
    """Takes a sample when it is told to."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taking = threading.Lock()
        self._before: tuple[float, Mapping[str, int]] | None = None
        self.history = History()
        self.stats: StoreStats | None = None
        """Of the last sample; None while the store cannot be asked."""
        self.problem: str | None = None
        """Why it cannot."""

    def take(self) -> None:
        """One sample. A store that cannot be asked leaves a gap."""
        with self._taking:
            try:
                self.stats, self.problem = self._desk.stats(), None
            except CoatcheckError as error:
                self.stats, self.problem = None, str(error)
                self._before = None
                self.history.add(time.time(), {})
                return
            self.history.add(
                time.time(), {**_levels(self.stats), **self._rates(self._desk.counts()), "read": self._desk.read_time()}
            )

    def _rates(self, counts: Mapping[str, int]) -> dict[str, float]:
        now = time.monotonic()
        before, self._before = self._before, (now, counts)
        if before is None or now <= before[0]:
            return {}
        seconds = now - before[0]
        return {
            name: max(0, sum(counts.get(each, 0) - before[1].get(each, 0) for each in parts)) / seconds
            for name, parts in GROUPS.items()
        }


def _levels(stats: StoreStats) -> dict[str, float]:
    return {
        "sessions": stats.sessions,
        "signed_in": stats.principals,
        "due": stats.due,
        "lag": stats.oldest_due,
        "used": stats.used_bytes,
    }
