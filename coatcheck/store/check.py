"""A whole check of the store: every record against every index, and every index against the records.

It reads one snapshot, so it can run while others write.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from coatcheck.codec import unpack
from coatcheck.errors import CoatcheckError
from coatcheck.sealing import ID_SIZE
from coatcheck.store import header, token_table
from coatcheck.store.audit import REFUSED
from coatcheck.store.contract import CheckReport, Problem
from coatcheck.store.draft import read_chunks
from coatcheck.store.header import CHUNKED, Header
from coatcheck.store.progress import Progress
from coatcheck.store.record import Record
from coatcheck.store.sealed_record import SealedRecord
from coatcheck.store.tables import CURRENT, EXPIRY, GRACE, MEMBER, SESSION_DUE, TOKEN, TOKEN_DUE, Tables, Transaction
from coatcheck.store.token_table import TokenRow

if TYPE_CHECKING:
    from coatcheck.keyring import Keyring
    from coatcheck.sealing import Sealing

MOST: Final = 1000
"""Problems a report holds."""


def check(
    transaction: Transaction,
    tables: Tables,
    keyring: Keyring,
    sealing: Sealing | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check the snapshot of this read transaction."""
    return _Check(transaction, tables, keyring, sealing, progress or Progress()).run()


class _Check:
    def __init__(
        self,
        transaction: Transaction,
        tables: Tables,
        keyring: Keyring,
        sealing: Sealing | None,
        progress: Progress,
    ) -> None:
        self.transaction, self.tables, self.keyring, self.sealing = transaction, tables, keyring, sealing
        self.progress = progress
        self.sealed: Counter[str] = Counter()
        self.sealed_events: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.sessions = self.entries = 0
        self.left_behind: set[bytes] = set()

    def run(self) -> CheckReport:
        looked_at = (each for each in self.tables if each not in (self.tables.meta, self.tables.outbox))
        self.progress.begin("checking", sum(self.transaction.stat(each)["entries"] for each in looked_at))
        for key, row in self._rows(self.tables.sessions):
            self.sessions += 1
            self._guarded("sessions", key, self._session, key, row)
        for step, table in (
            (self._due, self.tables.expiry),
            (self._token, self.tables.tokens),
            (self._member, self.tables.principals),
            (self._chunk, self.tables.bodies),
        ):
            for key, row in self._rows(table):
                self.entries += 1
                self._guarded("index", key, step, key, row)
        if self.sealing is not None:
            for key, row in self._rows(self.tables.audit):
                self._guarded("audit", key, self._event, key, row)
        return CheckReport(
            self.sessions, self.entries, tuple(self.problems), dict(self.sealed), dict(self.sealed_events)
        )

    # One row of each table -------------------------------------------------------------------------------------

    def _session(self, sid: bytes, row: bytes) -> None:
        row = header.current(row)
        fixed = header.parse(row)
        variable = header.parse_variable(row, fixed.variable_length)
        body = b"".join(read_chunks(self.transaction, self.tables, sid)) if fixed.flags & CHUNKED else None
        record = self._record(sid, row, body)
        for packed in record.body.packed_values():
            record.body.value(packed)
        self._see(len(record.flashes) >= 0 and record.body.takes() is not None, "body-unreadable", sid, "takes")
        self._see(fixed.filed <= header.deadline_of(fixed), "filed-too-late", sid, "filed at or before the deadline")
        due = EXPIRY.pack(fixed.filed, SESSION_DUE, sid)
        self._see(self._has(due, self.tables.expiry), "session-without-expiry", sid, "an entry where it is filed")
        entry = token_table.get(self.transaction, self.tables, fixed.token_hash)
        self._see(
            entry is not None and entry.sid == sid and entry.state == CURRENT,
            "session-without-token",
            sid,
            "a current token that leads to it",
        )
        for token_hash, until in variable.graces:
            grace = token_table.get(self.transaction, self.tables, token_hash)
            self._see(
                grace is not None and grace.sid == sid and grace.state == GRACE and grace.since == until,
                "grace-without-token",
                sid,
                "a token in grace that leads to it",
            )
        self._principal(record, sid, fixed, variable)

    def _record(self, sid: bytes, row: bytes, body: bytes | None) -> Record:
        if self.sealing is None:
            return Record(sid, row, body)
        record = SealedRecord(sid, row, body, self.sealing)
        self.sealed.update([record.key_id.hex()] if record.key_id else ())
        return record

    def _principal(self, record: Record, sid: bytes, fixed: Header, variable: header.Variable) -> None:
        principal = record.principal
        self._see(record.meta is not None, "meta-unreadable", sid, "meta")
        if principal is None:
            self._see(variable.principal_hash is None, "listed-without-principal", sid, "no principal hash")
            return
        self._see(
            variable.principal_hash in self.keyring.principal_hashes(principal),
            "principal-under-unknown-secret",
            sid,
            "the hash of its principal",
        )
        with self.transaction.cursor(db=self.tables.principals) as cursor:
            listed = cursor.set_key_dup(variable.principal_hash or b"", MEMBER.pack(fixed.created, sid))
        self._see(listed, "session-without-principal-entry", sid, "an entry in the index by principal")

    def _token(self, token_hash: bytes, packed: bytes) -> None:
        entry = TokenRow._make(TOKEN.unpack(packed))
        if entry.state == CURRENT:
            fixed = self._header(entry.sid)
            self._see(
                fixed.token_hash == token_hash if fixed else token_hash in self.left_behind,
                "token-without-session",
                token_hash,
                "a session whose token it is, or an entry when to forget it",
            )
            return
        due = EXPIRY.pack(entry.kept, TOKEN_DUE, token_hash)
        self._see(self._has(due, self.tables.expiry), "token-without-expiry", token_hash, "an entry when to forget it")
        if entry.state == GRACE:
            self._grace(token_hash, entry)

    def _grace(self, token_hash: bytes, entry: TokenRow) -> None:
        row = self.transaction.get(entry.sid, db=self.tables.sessions)
        if row is None:
            return
        row = header.current(row)
        fixed = header.parse(row)
        graces = header.parse_variable(row, fixed.variable_length).graces
        # One that was over at the session's last rotation has been dropped from it. One that is not, and that the
        # session does not know, would outlive a login.
        self._see(
            entry.since <= fixed.last_seen or [token_hash, entry.since] in graces,
            "grace-without-session",
            token_hash,
            "a session that knows of this grace",
        )

    def _due(self, key: bytes, _: bytes) -> None:
        when, kind, identity = EXPIRY.unpack(key)
        if kind == SESSION_DUE:
            fixed = self._header(identity)
            self._see(
                fixed is not None and fixed.filed == when,
                "expiry-without-session",
                identity,
                "a session filed at this time",
            )
            return
        entry = token_table.get(self.transaction, self.tables, identity)
        if entry is not None and entry.state == CURRENT and self._header(entry.sid) is None:
            self.left_behind.add(identity)
            return
        self._see(
            kind == TOKEN_DUE and entry is not None and entry.kept == when,
            "expiry-without-token",
            identity,
            "a token kept until this time",
        )

    def _member(self, principal_hash: bytes, value: bytes) -> None:
        created, sid = MEMBER.unpack(value)
        row = self.transaction.get(sid, db=self.tables.sessions)
        fixed = None if row is None else header.parse(header.current(row))
        variable = None if row is None or fixed is None else header.parse_variable(row, fixed.variable_length)
        self._see(
            fixed is not None
            and variable is not None
            and fixed.created == created
            and variable.principal_hash == principal_hash,
            "principal-entry-without-session",
            sid,
            "a session of that principal, created then",
        )

    def _chunk(self, key: bytes, value: bytes) -> None:
        fixed = self._header(key[:16])
        number = int.from_bytes(key[16:], "big")
        size = self.transaction.stat(self.tables.bodies)["psize"] - 16
        self._see(
            fixed is not None
            and bool(fixed.flags & CHUNKED)
            and len(value) == min(size, fixed.body_length - number * size),
            "chunk-without-session",
            key[:16],
            "a session with a body of that length",
        )

    def _event(self, key: bytes, row: bytes) -> None:
        _, _, _, principal, detail = unpack(row)
        self.sealed_events.update({each[:ID_SIZE].hex() for each in (principal, detail) if isinstance(each, bytes)})
        sealed = not isinstance(principal, str) and (key[:1] != REFUSED or isinstance(detail, bytes))
        self._see(sealed, "event-not-sealed", key, "a sealed principal and detail")

    # Small things ----------------------------------------------------------------------------------------------

    def _rows(self, table: object) -> Iterator[tuple[bytes, bytes]]:
        with self.transaction.cursor(db=table) as cursor:
            for row in cursor:
                self.progress.done += 1
                yield row

    def _header(self, sid: bytes) -> Header | None:
        row = self.transaction.get(sid, db=self.tables.sessions)
        return None if row is None else header.parse(header.current(row))

    def _has(self, key: bytes, table: object) -> bool:
        return self.transaction.get(key, db=table) is not None

    def _see(self, sound: bool, kind: str, key: bytes, expected: str) -> None:  # noqa: FBT001
        if not sound and len(self.problems) < MOST:
            self.problems.append(Problem(kind, key[:4].hex(), f"expected {expected}"))

    def _guarded(self, table: str, key: bytes, step: Callable[..., None], *arguments: bytes) -> None:
        try:
            step(*arguments)
        except (CoatcheckError, ValueError, TypeError, IndexError, struct.error) as error:
            if len(self.problems) < MOST:
                text = str(error) if isinstance(error, CoatcheckError) else type(error).__name__
                self.problems.append(Problem("unreadable", f"{table} {key[:4].hex()}", text))
