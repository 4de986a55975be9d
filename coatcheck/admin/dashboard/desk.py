"""What the pages read from and do: one client on the store, and looks at the actor system, none of them repeated."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.acting import acting_as
from coatcheck.admin.reading.health import Health, health
from coatcheck.admin.reading.rings import store_of
from coatcheck.metering import read as read_counters
from coatcheck.store import audit

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.audit import AuditEvent
    from coatcheck.store.contract import StoreStats
    from coatcheck.store.lmdb import LmdbStore

LOOK_FOR: Final = 1.0
"""Seconds that the actors have to answer a look."""

FRESH: Final = 4.0
"""Seconds for which a look is shown again, to all who ask."""

_RECENT: Final = 1500
_USERS: Final = 30


@dataclass(frozen=True)
class RecentUser:
    """Somebody who signed in lately."""

    name: str
    logins: int
    """Among the last events."""
    last: int
    """Microseconds UTC."""
    sessions: int
    """Live now."""


class Desk:
    """Shared by all requests; its verbs block, so they are called in threads."""

    def __init__(self, client: SessionClient) -> None:
        self.client = client
        self._looking = threading.Lock()
        self._looked: tuple[float, Health] | None = None

    @property
    def home(self) -> Path:
        """The state directory."""
        return self.client.settings.home

    def health(self) -> Health:
        """How everything is, at most :data:`FRESH` seconds old."""
        with self._looking:
            if self._looked is None or time.monotonic() - self._looked[0] > FRESH:
                self._looked = time.monotonic(), health(self.client.settings, LOOK_FOR, store=self._store)
            return self._looked[1]

    def stats(self) -> StoreStats:
        """Counts and sizes of the store."""
        return self.client.stats()

    def counts(self) -> Mapping[str, int]:
        """What all processes have done with the store, by name; only ever growing."""
        return read_counters(self.home).counts

    def read_time(self) -> float:
        """Microseconds that it takes now to look up a session in the store, from this process; the median of five."""
        times = []
        for _ in range(5):
            began = time.perf_counter()
            self._store.session(secrets.token_hex(16))
            times.append((time.perf_counter() - began) * 1e6)
        return sorted(times)[2]

    def total(self) -> int:
        """Sessions at rest."""
        return self.client.stats().sessions

    # Reading the audit ----------------------------------------------------------------------------------------

    def events(self, after: int = -1, limit: int = 1000, ring: bytes = audit.LIFE) -> list[AuditEvent]:
        """Events after that number, oldest first."""
        return self._store.events(after=after, limit=limit, ring=ring)

    def recent_users(self) -> list[RecentUser]:
        """Who signed in lately, the last one first; from the newest events, not from a look at all sessions."""
        logins: Counter[str] = Counter()
        last: dict[str, int] = {}
        for event in self.newest(_RECENT):
            if event.kind == "login" and event.principal:
                logins[event.principal] += 1
                last.setdefault(event.principal, event.at)
        names = list(last)[:_USERS]
        return [RecentUser(each, logins[each], last[each], len(self.client.sessions_of(each))) for each in names]

    def latest(self, limit: int) -> list[AuditEvent]:
        """The newest events of sessions, of users and of guests."""
        both = self.newest(limit) + self.newest(limit, ring=audit.ANONYMOUS)
        return sorted(both, key=lambda each: -each.at)[:limit]

    def newest(self, limit: int, before: int | None = None, ring: bytes = audit.LIFE) -> list[AuditEvent]:
        """Events, the newest first; ``before``: only those with a lower number."""
        # Their numbers have no gaps: only the oldest ever go.
        end = self.last_event(ring) + 1 if before is None else before
        found = self.events(max(-1, end - limit - 1), limit, ring) if end > 0 else []
        return [each for each in reversed(found) if each.sequence < end]

    def last_event(self, ring: bytes = audit.LIFE) -> int:
        """The number of the newest event; -1: there is none."""
        return self._store.last_event(ring)

    @property
    def _store(self) -> LmdbStore:
        return store_of(self.client)

    # Doing ----------------------------------------------------------------------------------------------------

    def end_session(self, sid: str, by: str) -> bool:
        """End a session; whether there was one."""
        with acting_as(by):
            return self.client.revoke_sid(sid)

    def end_user(self, user: str, by: str) -> int:
        """End all sessions of a user; how many."""
        with acting_as(by):
            return self.client.revoke(user)

    def sweep(self, by: str, seconds: float) -> tuple[int, bool]:
        """Remove what has expired, for so long; how much, and whether more is due."""
        ends, removed = time.monotonic() + seconds, 0
        with acting_as(by):
            while True:
                report = self.client.sweep(2000)
                removed += report.removed
                if not report.more or time.monotonic() > ends:
                    return removed, report.more
