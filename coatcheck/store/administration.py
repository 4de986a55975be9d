"""The verbs of the administrator: sweep, scan, stats, check, backup, compact, sync."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coatcheck.acting import acting
from coatcheck.errors import ConfigurationError
from coatcheck.store import audit, backup, header, history
from coatcheck.store.arguments import check_principal, sid_bytes
from coatcheck.store.check import check
from coatcheck.store.clock_guard import trust
from coatcheck.store.contract import CheckReport, CleanupReport, SessionInfo, StoreStats
from coatcheck.store.draft import read_chunks
from coatcheck.store.expiry import sweep, sweep_batch
from coatcheck.store.full import again_when_full
from coatcheck.store.header import CHUNKED
from coatcheck.store.policy import CHANGEABLE, Policy, read, write
from coatcheck.store.sessions import Sessions
from coatcheck.store.statistics import count, lifetimes_in_use, tokens_before
from coatcheck.store.vitals import Vitals, vitals

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.audit import AuditEvent
    from coatcheck.store.progress import Progress
    from coatcheck.store.record import Record
    from coatcheck.store.tables import Tables, Transaction

_SLICE = 200


class Administration(Sessions):
    """What operators and the manager call."""

    @again_when_full
    def sweep(self, limit: int = 1000) -> CleanupReport:
        """Remove what is expired now; see the contract."""
        report = sweep(self.environment, self.clock, limit, self.settings.gate_timeout)
        self.counters["swept"] += report.removed
        if acting() is not None:
            self._note_done("swept", removed=report.removed)
        return report

    @again_when_full
    def sweep_batch(self, limit: int = 400) -> CleanupReport:
        """One batch of the sweep: about 2 ms in the writer gate."""
        report = sweep_batch(self.environment, self.clock, limit, self.settings.gate_timeout)
        self.counters["swept"] += report.removed
        return report

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid; see the contract."""
        position = b"" if after is None else bytes.fromhex(after) + b"\0"
        while limit is None or limit > 0:
            now = self._now()
            rows: list[tuple[bytes, bytes]] = []
            with self._read() as transaction, transaction.cursor(db=self._tables.sessions) as cursor:
                more = cursor.set_range(position) if position else cursor.first()
                while more and len(rows) < _SLICE:
                    rows.append((cursor.key(), cursor.value()))
                    more = cursor.next()
            for sid, row in rows:
                info = self._listed(sid, row, now)
                if info is not None:
                    yield info
                    if limit is not None:
                        limit -= 1
                        if not limit:
                            return
            if len(rows) < _SLICE:
                return
            position = rows[-1][0] + b"\0"

    def events(self, *, after: int = -1, limit: int = 1000, ring: bytes = audit.LIFE) -> list[AuditEvent]:
        """Audit events of a ring after that sequence number, oldest first."""
        with self._read() as transaction:
            return list(audit.events(transaction, self._tables, ring, after, limit, self._sealing))

    def session(self, sid: str) -> Record | None:
        """The live session with this sid (32 hex digits), as it is; for administrators: no touch, no token.

        Raises CorruptRecord, and EncryptionKeyMissing once what is sealed is looked at.
        """
        key = sid_bytes(sid)
        with self._read() as transaction:
            row = transaction.get(key, db=self._tables.sessions)
            if row is None:
                return None
            row = header.current(row)
            body = b"".join(read_chunks(transaction, self._tables, key)) if row[1] & CHUNKED else None
        record = self._record_at(key, row, body)
        return record if self._now() < record.expires_at else None

    def lifetimes(self, most: int = 100_000) -> dict[tuple[bool, Lifetimes], int]:
        """How many live sessions are signed in or not, and have which lifetimes; of the first ``most`` in the store."""
        return lifetimes_in_use(self.environment, self._now(), most)

    def tokens_before(self, moment: int) -> tuple[int, int]:
        """How many live sessions have a token that is older (microseconds UTC), and when the last of them ends at most.

        The end is the absolute one, ``coatcheck.clock.NEVER`` where one of them has none; 0 for no session.
        """
        return tokens_before(self.environment, self._now(), moment)

    def history(self, *, sid: str | None = None, principal: str | None = None) -> list[tuple[bytes, AuditEvent]]:
        """All audit events of a session, or of a principal, with their ring, in the order of time.

        ``sid``: 32 hex digits; fewer are for all sessions whose sid begins with them.
        """
        with self._read() as transaction:
            return history.events_of(transaction, self._tables, self._sealing, sid=sid, principal=principal)

    @again_when_full
    def forget(self, principal: str) -> int:
        """Take a principal out of the audit events, and all that was noted with them; how many events that were.

        What happened to which session, and when, stays. Sessions are not touched: revoke them before.
        """
        return history.forget(self.environment, self._sealing, check_principal(principal), self.settings.gate_timeout)

    def last_event(self, ring: bytes = audit.LIFE) -> int:
        """The sequence number of the newest event of a ring; -1 where there is none."""
        with self._read() as transaction:
            return audit.last_number(transaction, self._tables, ring)

    def check_ready(self) -> None:
        """See that the store can be read, and that a writer gets his turn; writes nothing.

        Raises StoreUnavailable and the errors of opening.
        """
        self.environment.require_files()
        with self._read() as transaction:
            transaction.stat(self._tables.sessions)
        with self._write():
            pass

    def trust_clock(self) -> None:
        """Believe the wall clock as it is now, from now on: the sweep goes on. An operator says that it is right."""
        with self._write() as transaction:
            trust(transaction, self._tables, self._now(), self.clock.boottime())

    def vitals(self) -> Vitals:
        """Who is at the store, what is not on the disk yet, whether the clock is believed; changes nothing."""
        return vitals(self.environment, self.clock)

    def stats(self) -> StoreStats:
        """Counts and sizes; see the contract."""
        return count(self.environment, self._now(), self.counters)

    def check(self, *, progress: Progress | None = None) -> CheckReport:
        """Compare every record with every index; see the contract."""
        with self._read() as transaction:
            return check(transaction, self._tables, self.keyring, self._sealing, progress)

    def backup(self, target: str | PathLike[str], *, progress: Progress | None = None) -> None:
        """Write a consistent copy; see the contract."""
        backup.backup(self.environment, target, progress)
        self._note_done("backed_up", target=str(Path(target).absolute()))

    def compact(self, *, progress: Progress | None = None) -> tuple[int, int]:
        """Rewrite the data file without its free pages; see the contract."""
        before, after = backup.compact(self.environment, progress)
        self._note_done("compacted", before=before, after=after)
        return before, after

    def change_policy(self, **changed: Any) -> Policy:
        """Give the store other limits (:data:`coatcheck.store.policy.CHANGEABLE`); the policy now in force.

        Raises ConfigurationError for a name or value that cannot be, and StoreUnavailable naming the processes that
        have the store open: they would go on with the old ones.
        """
        unknown = sorted(set(changed) - set(CHANGEABLE))
        if unknown:
            msg = f"{unknown[0]} cannot be changed: {', '.join(CHANGEABLE)} can"
            raise ConfigurationError(msg)
        replace(self.settings, **changed)  # raises for a value that cannot be
        environment = self.environment
        if changed.get("map_size", environment.policy.map_size) < environment.highest_byte():
            msg = (
                f"map_size cannot be below the {environment.highest_byte()} bytes that the store has: compact it first"
            )
            raise ConfigurationError(msg)
        policy = environment.policy

        def change(transaction: Transaction, tables: Tables) -> None:
            nonlocal policy
            # As it is now: somebody else may have been alone on the store in between, and have changed it.
            former = read(transaction, tables, environment.home)
            policy = replace(former, **changed)
            write(transaction, tables, policy)
            new = {name: [getattr(former, name), value] for name, value in changed.items()}
            self._tell_action(transaction, tables, "policy_changed", new)

        with environment.alone(backup.ALONE_WITHIN):
            environment.change_closed(change)
            environment.policy = policy
        return policy

    def sync(self) -> None:
        """Force what was committed onto the disk."""
        self.environment.upkeep.sync()

    def reader_check(self) -> int:
        """Free the slots of readers that died; how many."""
        return self.environment.upkeep.reader_check()
