"""The sweep: remove what is expired now, in batches that end after two milliseconds in the writer gate.

The expiry index may name a session too early, because an extended session is not filed anew at once: each entry is
compared with the record before anything is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from coatcheck.store import audit, header, token_table
from coatcheck.store.clock_guard import agrees
from coatcheck.store.contract import CleanupReport
from coatcheck.store.draft import Draft
from coatcheck.store.tables import EXPIRED, EXPIRY, SESSION_DUE, TOKEN_DUE, Tables, Transaction
from coatcheck.store.transactions import Write

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.store.environment import Environment

BATCH_SECONDS: Final = 0.002
"""Time in the gate after which a batch ends."""

_LOOK_EVERY: Final = 8


def sweep_batch(environment: Environment, clock: Clock, limit: int, timeout: float) -> CleanupReport:
    """One batch: at most ``limit`` entries and about two milliseconds in the gate."""
    with Write(environment, timeout) as transaction:
        started = time.perf_counter()
        now = clock.now()
        if not agrees(transaction, environment.tables, now, clock.boottime()):
            return CleanupReport(held=True)
        batch = _Batch(transaction, environment.tables, now)
        report = batch.run(limit, started + BATCH_SECONDS)
        return replace(report, seconds=time.perf_counter() - started)


def sweep(
    environment: Environment,
    clock: Clock,
    limit: int,
    timeout: float,
    pause: Callable[[float], object] = time.sleep,
) -> CleanupReport:
    """Batches until ``limit`` entries were looked at or none is due, with a pause after each as long as it took."""
    total = report = CleanupReport(more=True)
    while total.more and not total.held and limit > 0:
        if total.seconds:
            pause(max(report.seconds, BATCH_SECONDS))
        report = sweep_batch(environment, clock, limit, timeout)
        limit -= report.removed + report.refiled + report.forgotten
        total = CleanupReport(
            removed=total.removed + report.removed,
            refiled=total.refiled + report.refiled,
            forgotten=total.forgotten + report.forgotten,
            more=report.more,
            held=report.held,
            seconds=total.seconds + report.seconds,
        )
    return total


class _Batch:
    def __init__(self, transaction: Transaction, tables: Tables, now: int) -> None:
        self.transaction, self.tables, self.now = transaction, tables, now
        self.removed = self.refiled = self.forgotten = self.anonymous = 0

    def run(self, limit: int, end: float) -> CleanupReport:
        """Work on entries that are due, oldest first."""
        entries = self._due(limit)
        done = 0
        for done, (when, kind, identity) in enumerate(entries, 1):
            if kind == SESSION_DUE:
                self._session(when, identity)
            else:
                self._token(when, identity)
            if done % _LOOK_EVERY == 0 and time.perf_counter() > end:
                break
        if self.anonymous:
            audit.note(self.transaction, self.tables, self.now, "expired", detail={"count": self.anonymous})
        return CleanupReport(self.removed, self.refiled, self.forgotten, more=bool(self._due(1)))

    def _due(self, limit: int) -> list[tuple[int, int, bytes]]:
        entries: list[tuple[int, int, bytes]] = []
        with self.transaction.cursor(db=self.tables.expiry) as cursor:
            more = cursor.first()
            while more and len(entries) < min(limit, 400):
                when, kind, identity = EXPIRY.unpack(cursor.key())
                if when > self.now:
                    break
                entries.append((when, kind, identity))
                more = cursor.next()
        return entries

    def _session(self, when: int, sid: bytes) -> None:
        transaction, tables = self.transaction, self.tables
        row = transaction.get(sid, db=tables.sessions)
        if row is None:
            transaction.delete(EXPIRY.pack(when, SESSION_DUE, sid), db=tables.expiry)
            return
        draft = Draft(transaction, tables, sid, header.current(row))
        if self.now < draft.deadline:
            transaction.delete(EXPIRY.pack(when, SESSION_DUE, sid), db=tables.expiry)
            draft.filed = draft.deadline
            transaction.put(EXPIRY.pack(draft.filed, SESSION_DUE, sid), b"", db=tables.expiry)
            draft.store_header()
            self.refiled += 1
            return
        variable = draft.variable
        kept = self.now + token_table.EXPIRED_KEPT
        for token_hash in (draft.token_hash, *(each[0] for each in variable.graces)):
            token_table.bury(transaction, tables, token_hash, sid, EXPIRED, self.now, kept)
        draft.delete()
        self.removed += 1
        if variable.principal is None:
            self.anonymous += 1
        else:
            audit.note(transaction, tables, self.now, "expired", sid, variable.principal)

    def _token(self, when: int, token_hash: bytes) -> None:
        transaction, tables = self.transaction, self.tables
        transaction.delete(EXPIRY.pack(when, TOKEN_DUE, token_hash), db=tables.expiry)
        row = token_table.get(transaction, tables, token_hash)
        if row is not None and row.kept and row.kept <= self.now:
            transaction.delete(token_hash, db=tables.tokens)
            self.forgotten += 1
