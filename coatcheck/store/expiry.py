"""The sweep: remove what is expired now, in batches that end after two milliseconds in the writer gate.

The expiry index may name a session too early, because an extended session is not filed anew at once: each entry is
compared with the record before anything is removed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.errors import CorruptRecord
from coatcheck.store import audit, header, token_table
from coatcheck.store.clock_guard import agrees
from coatcheck.store.contract import CleanupReport
from coatcheck.store.draft import Draft, delete_chunks
from coatcheck.store.header import CHUNKED
from coatcheck.store.tables import CURRENT, EXPIRY, MEMBER, SESSION_DUE, TOKEN_DUE, Tables, Transaction
from coatcheck.store.transactions import Write

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.store.environment import Environment

WORK_SECONDS: Final = 0.0008
"""Time in the gate after which a batch is committed, which takes about as long again."""

DAMAGED_AGAIN: Final = 24 * 3600 * SECOND
"""Microseconds after which a record that cannot be read is looked at again."""

TOLD_EVERY: Final = 60 * SECOND
"""Microseconds after which a mass expiry that goes on is told of."""

_LOOK_EVERY: Final = 8
_NOT_TOLD: Final = b"expired"
"""In ``meta``: how many anonymous sessions have expired since that time, of which there is no event yet."""

_COUNTED: Final = struct.Struct(">QQ")


def sweep_batch(environment: Environment, clock: Clock, limit: int, timeout: float) -> CleanupReport:
    """One batch: at most ``limit`` entries and about two milliseconds in the gate."""
    with Write(environment, timeout) as transaction:
        started = time.perf_counter()
        now = clock.now()
        if not agrees(transaction, environment.tables, now, clock.boottime()):
            return CleanupReport(held=True)
        batch = _Batch(transaction, environment.tables, now, copies=environment.upkeep.copies)
        report = batch.run(limit, started + WORK_SECONDS)
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
            pause(report.seconds)
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
    """The work of one batch.

    A mass expiry touches pages all over the file, and each touched page is copied. So the tokens of what expires are
    left where they are, without a session, and only filed to be forgotten later, when many go at once.
    """

    def __init__(self, transaction: Transaction, tables: Tables, now: int, *, copies: bool = False) -> None:
        self.transaction, self.tables, self.now, self.copies = transaction, tables, now, copies
        self.kept = now + token_table.EXPIRED_KEPT
        self.removed = self.refiled = self.forgotten = self.anonymous = 0
        self.events: list[audit.Row] = []
        self.filed: list[bytes] = []

    def run(self, limit: int, end: float) -> CleanupReport:
        """Work on entries that are due, oldest first."""
        more, done = False, 0
        with self.transaction.cursor(db=self.tables.expiry) as cursor:
            while cursor.first():
                when, kind, identity = EXPIRY.unpack(cursor.key())
                if when > self.now:
                    break
                if done >= limit or (done % _LOOK_EVERY == 0 and done and time.perf_counter() > end):
                    more = True
                    break
                cursor.delete()
                done += 1
                if kind == SESSION_DUE:
                    self._session(identity)
                else:
                    self._token(identity)
        for key in self.filed:
            self.transaction.put(key, b"", db=self.tables.expiry)
        self._count_anonymous(more=more)
        if self.events:
            audit.note_all(self.transaction, self.tables, self.events)
        return CleanupReport(self.removed, self.refiled, self.forgotten, more=more)

    def _count_anonymous(self, *, more: bool) -> None:
        """One event for all anonymous sessions of a mass expiry, when its last batch is done, or a minute old."""
        transaction, tables = self.transaction, self.tables
        noted = transaction.get(_NOT_TOLD, db=tables.meta)
        if noted is None and not self.anonymous:
            return
        count, since = _COUNTED.unpack(noted) if noted is not None else (0, self.now)
        count += self.anonymous
        if more and since <= self.now < since + TOLD_EVERY:
            transaction.put(_NOT_TOLD, _COUNTED.pack(count, since), db=tables.meta)
            return
        audit.note(transaction, tables, self.now, "expired", ring=audit.ANONYMOUS, detail={"count": count})
        if noted is not None:
            transaction.delete(_NOT_TOLD, db=tables.meta)

    def _session(self, sid: bytes) -> None:
        transaction, tables = self.transaction, self.tables
        row = transaction.get(sid, db=tables.sessions)
        if row is None:
            return
        try:
            row = header.current(row)
            found = header.parse(row)
        except CorruptRecord:
            # Nobody can tell when it ends, and it must not keep what comes after it from being swept.
            self.filed.append(EXPIRY.pack(self.now + DAMAGED_AGAIN, SESSION_DUE, sid))
            self.refiled += 1
            return
        deadline = header.deadline(found.last_seen, found.started, found.idle, found.absolute)
        if self.now < deadline:
            self._refile(sid, row, deadline)
            return
        transaction.delete(sid, db=tables.sessions)
        self.filed.append(EXPIRY.pack(self.kept, TOKEN_DUE, found.token_hash))
        self.removed += 1
        if found.flags & CHUNKED:
            delete_chunks(transaction, tables, sid)
        try:
            variable = header.parse_variable(row, found.variable_length)
        except CorruptRecord:
            # It is over all the same; where it is listed for its principal, nothing is found.
            variable = header.EMPTY_VARIABLE
        if variable.principal_hash:
            transaction.delete(variable.principal_hash, MEMBER.pack(found.created, sid), db=tables.principals)
        if self.copies:
            # The session may go on elsewhere: its end is told by whoever has it.
            transaction.delete(sid, db=tables.copies)
        elif variable.principal is None:
            self.anonymous += 1
        else:
            self.events.append((self.now, "expired", sid, variable.principal, {}))

    def _refile(self, sid: bytes, row: bytes, deadline: int) -> None:
        draft = Draft(self.transaction, self.tables, sid, row)
        draft.filed = deadline
        draft.store_header()
        self.filed.append(EXPIRY.pack(deadline, SESSION_DUE, sid))
        self.refiled += 1

    def _token(self, token_hash: bytes) -> None:
        transaction, tables = self.transaction, self.tables
        row = token_table.get(transaction, tables, token_hash)
        if row is None:
            return
        # A current token was left behind by a sweep; it goes with its session, not with a time.
        swept = row.state == CURRENT and transaction.get(row.sid, db=tables.sessions) is None
        if swept or (row.state != CURRENT and row.kept <= self.now):
            transaction.delete(token_hash, db=tables.tokens)
            self.forgotten += 1
