"""Draft: a session inside a write transaction. It is read, changed in memory, and put back with its indexes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CorruptRecord
from coatcheck.store import body as bodies
from coatcheck.store import header as headers
from coatcheck.store.header import CHUNKED, FORMAT, HEADER
from coatcheck.store.record import Record
from coatcheck.store.tables import EXPIRY, MEMBER, SESSION_DUE, Tables, Transaction

if TYPE_CHECKING:
    from coatcheck.store.body import Take

INLINE: Final = 1500
"""Bodies up to this many bytes stand behind their header; a larger value would need pages that lie side by side."""

_NUMBER: Final = struct.Struct(">I")


class Draft:
    """One session, open for changes."""

    __slots__ = (
        "_body_changed",
        "_join",
        "_old_parts",
        "_parsed",
        "_row",
        "_variable",
        "_variable_length",
        "absolute",
        "created",
        "data_changed",
        "dropped",
        "filed",
        "flags",
        "flash_limit",
        "flashes_",
        "flashes_dropped",
        "idle",
        "is_new",
        "last_seen",
        "old_length",
        "sid",
        "started",
        "tables",
        "takes_",
        "token_hash",
        "touch_interval",
        "transaction",
        "values_",
        "version",
    )  # fmt: skip

    def __init__(self, transaction: Transaction, tables: Tables, sid: bytes, row: bytes | None) -> None:
        """``row`` is None for a session that is made now; then its fields have to be set."""
        self.transaction, self.tables, self.sid = transaction, tables, sid
        self._row = row
        self._parsed = self._body_changed = False
        self._variable: headers.Variable | None = None
        self._join: bytes | None = None
        self.data_changed = self.dropped = False
        self.flash_limit = 100
        self.flashes_dropped = 0
        self.is_new = row is None
        if row is None:
            self._variable = headers.EMPTY_VARIABLE
            self._old_parts: list[bytes] = []
            self.old_length = self._variable_length = 0
            self.flags = self.version = self.filed = 0
            self.values_: dict[str, bytes] = {}
            self.flashes_: list[bytes] = []
            self.takes_: list[Take] = []
            self._parsed = self._body_changed = True
            return
        (
            _, self.flags, self._variable_length, self.old_length, self.version, self.created, self.last_seen,
            self.filed, self.started, self.idle, self.absolute, self.touch_interval, self.token_hash,
        ) = headers.parse_plain(row)  # fmt: skip

    # The variable part -----------------------------------------------------------------------------------------

    @property
    def variable(self) -> headers.Variable:
        """Principal, meta, graces, repeats."""
        if self._variable is None:
            self._variable = headers.parse_variable(self._row or b"", self._variable_length)
        return self._variable

    @variable.setter
    def variable(self, value: headers.Variable) -> None:
        self._variable = value

    @property
    def principal(self) -> str | None:
        """Whom it is bound to, in the clear."""
        principal = self.variable.principal
        assert not isinstance(principal, bytes)
        return principal

    def bind(self, principal: str, principal_hash: bytes) -> None:
        """Bind it to somebody."""
        self.variable = self.variable._replace(principal=principal, principal_hash=principal_hash)

    @property
    def meta(self) -> bytes:
        """What the application noted about it, packed."""
        return self.variable.meta

    @meta.setter
    def meta(self, packed: bytes) -> None:
        self.variable = self.variable._replace(meta=packed)

    # The body --------------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        body = bodies.Body(self._raw_body() if self._join is None else self._join)
        self.values_ = body.packed_values()
        self.flashes_ = body.flashes() if body.flash_lengths else []
        self.takes_ = body.takes() if body.takes_length else []
        self._parsed = True

    def _raw_body(self) -> bytes:
        if not self.flags & CHUNKED:
            self._old_parts = []
            start = HEADER.size + self._variable_length
            raw = (self._row or b"")[start : start + self.old_length]
        else:
            self._old_parts = read_chunks(self.transaction, self.tables, self.sid)
            raw = b"".join(self._old_parts)
        if len(raw) != self.old_length:
            msg = f"session {self.sid[:4].hex()}: body of {len(raw)} bytes, not {self.old_length}: run 'check'"
            raise CorruptRecord(msg)
        return raw

    @property
    def values(self) -> dict[str, bytes]:
        """Packed values by key; to be changed by ``put``, ``remove_key`` and ``clear``."""
        if not self._parsed:
            self._parse()
        return self.values_

    @property
    def flashes(self) -> list[bytes]:
        """Flashes as they are stored, oldest first."""
        if not self._parsed:
            self._parse()
        return self.flashes_

    @property
    def takes(self) -> list[Take]:
        """What was taken lately."""
        if not self._parsed:
            self._parse()
        return self.takes_

    def get(self, key: str) -> bytes | None:
        """The packed value of a key, or None."""
        return self.values.get(key)

    def put(self, key: str, packed: bytes) -> None:
        """Set a packed value."""
        if not self._parsed and self._join is None:
            # Most saves change one key: its value is exchanged without taking the rest of the body apart.
            raw = self._raw_body()
            changed = bodies.Body(raw).replaced(key, packed)
            if changed is not None:
                if changed != raw:
                    self.data_changed = self._body_changed = True
                    self._join = changed
                return
        values = self.values
        if values.get(key) != packed:
            values[key] = packed
            self._data_change()

    def remove_key(self, key: str) -> None:
        """Remove a key."""
        if self.values.pop(key, None) is not None:
            self._data_change()

    def clear(self) -> None:
        """Remove all keys."""
        if self.values:
            self.values_.clear()
            self._data_change()

    def push_flashes(self, packed: list[bytes]) -> None:
        """Append to the mailbox; the oldest fall out."""
        self.replace_flashes([*self.flashes, *self.stored(packed)])

    def replace_flashes(self, stored: list[bytes]) -> None:
        """Put these where the present ones are."""
        surplus = max(0, len(stored) - self.flash_limit)
        self.flashes_dropped += surplus
        if self.flashes != stored[surplus:]:
            self.flashes_ = stored[surplus:]
            self._body_change()

    def stored(self, packed: list[bytes]) -> list[bytes]:
        """Packed flashes as they are stored."""
        return packed

    def opened(self, stored: list[bytes]) -> list[bytes]:
        """Stored flashes as they were packed."""
        return stored

    def keep_takes(self, takes: list[Take]) -> None:
        """Put these where the present takes are."""
        if self.takes != takes:
            self.takes_ = takes
            self._body_change()

    def replace_all(self, variable: headers.Variable, raw: bytes, flags: int) -> None:
        """Put another form of the same session in its place."""
        self._raw_body()
        body = bodies.Body(raw)
        self.values_, self.flashes_, self.takes_ = body.packed_values(), body.flashes(), body.takes()
        self.variable, self.flags = variable, flags
        self._parsed = True
        self._body_change()

    def _data_change(self) -> None:
        self.data_changed = self._body_changed = True
        self._join = None

    def _body_change(self) -> None:
        self._body_changed = True
        self._join = None

    @property
    def size(self) -> int:
        """Bytes that count against the limit."""
        return self.size_with(self.flashes)

    def size_with(self, flashes: list[bytes]) -> int:
        """The same with other flashes, as they are stored."""
        return bodies.size_of(self.values, flashes)

    @property
    def grows(self) -> bool:
        """Whether it takes more room than before."""
        return self.is_new or self.new_length > self.old_length

    @property
    def old_size(self) -> int:
        """Bytes that counted against the limit before the changes."""
        if self.is_new:
            return 0
        body = bodies.Body(self._raw_body())
        return bodies.size_of(body.packed_values(), body.flashes())

    @property
    def new_length(self) -> int:
        """Bytes of the body as it would be stored now."""
        return len(self._joined()) if self._body_changed else self.old_length

    @property
    def row(self) -> bytes:
        """The row as it was read."""
        return self._row or b""

    def _joined(self) -> bytes:
        if self._join is None:
            self._join = bodies.join(self.values_, self.flashes_, self.takes_)
        return self._join

    # Times -----------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> int:
        """When it ends, microseconds UTC."""
        return headers.deadline(self.last_seen, self.started, self.idle, self.absolute)

    # Storing ---------------------------------------------------------------------------------------------------

    def store(self) -> Record:
        """Put the session and its entry in the expiry index; the record as it is now."""
        transaction, tables, sid = self.transaction, self.tables, self.sid
        if self.data_changed or self.is_new:
            self.version += 1
        deadline = self.deadline
        if deadline < self.filed or self.is_new:
            # An extended session stays filed too early; the sweep files it anew when it comes by.
            if not self.is_new:
                transaction.delete(EXPIRY.pack(self.filed, SESSION_DUE, sid), db=tables.expiry)
            self.filed = deadline
            transaction.put(EXPIRY.pack(deadline, SESSION_DUE, sid), b"", db=tables.expiry)
        variable = headers.pack_variable(self._variable) if self._variable is not None else self._old_variable()
        inline, chunked, length = self._store_body()
        row = b"".join((
            HEADER.pack(
                FORMAT, self.flags, len(variable), length, self.version, self.created, self.last_seen, self.filed,
                self.started, self.idle, self.absolute, self.touch_interval, self.token_hash,
            ),
            variable,
            inline,
        ))  # fmt: skip
        transaction.put(sid, row, db=tables.sessions)
        return self.record(row, chunked)

    def record(self, row: bytes, chunked: bytes | None) -> Record:
        """The record of a row."""
        return Record(self.sid, row, chunked)

    def store_header(self) -> None:
        """Put the header alone; everything behind it stays as it is."""
        row = self._row or b""
        header = HEADER.pack(
            FORMAT, self.flags, self._variable_length, self.old_length, self.version, self.created, self.last_seen,
            self.filed, self.started, self.idle, self.absolute, self.touch_interval, self.token_hash,
        )  # fmt: skip
        self._row = header + row[HEADER.size :]
        self.transaction.put(self.sid, self._row, db=self.tables.sessions)

    def _old_variable(self) -> bytes:
        return (self._row or b"")[HEADER.size : HEADER.size + self._variable_length]

    def _store_body(self) -> tuple[bytes, bytes | None, int]:
        """What stands behind the header, what is in chunks, and the length."""
        if not self._body_changed:
            raw = self._raw_body()
            return (b"", raw, len(raw)) if self.flags & CHUNKED else (raw, None, len(raw))
        raw = self._joined()
        if len(raw) <= INLINE:
            self.flags &= ~CHUNKED
            if self._old_parts:
                self._store_chunks(b"")
            return raw, None, len(raw)
        self.flags |= CHUNKED
        self._store_chunks(raw)
        return b"", raw, len(raw)

    def _store_chunks(self, raw: bytes) -> None:
        transaction, table, sid, old = self.transaction, self.tables.bodies, self.sid, self._old_parts
        size = transaction.stat(table)["psize"] - 16 if raw else 1
        new = [raw[start : start + size] for start in range(0, len(raw), size)]
        for number, part in enumerate(new):
            if number >= len(old) or old[number] != part:
                transaction.put(sid + _NUMBER.pack(number), part, db=table)
        for number in range(len(new), len(old)):
            transaction.delete(sid + _NUMBER.pack(number), db=table)

    def delete(self) -> None:
        """Remove the session, its body, and its entries by expiry and principal. Its tokens are the caller's."""
        self.transaction.delete(self.sid, db=self.tables.sessions)
        self.transaction.delete(EXPIRY.pack(self.filed, SESSION_DUE, self.sid), db=self.tables.expiry)
        if self.flags & CHUNKED and not self.is_new:
            delete_chunks(self.transaction, self.tables, self.sid)
        variable = self.variable
        if variable.principal_hash:
            member = MEMBER.pack(self.created, self.sid)
            self.transaction.delete(variable.principal_hash, member, db=self.tables.principals)


def read_chunks(transaction: Transaction, tables: Tables, sid: bytes) -> list[bytes]:
    """The chunks of a body, in order."""
    parts = []
    with transaction.cursor(db=tables.bodies) as cursor:
        more = cursor.set_range(sid)
        while more and cursor.key()[:16] == sid:
            parts.append(cursor.value())
            more = cursor.next()
    return parts


def delete_chunks(transaction: Transaction, tables: Tables, sid: bytes) -> None:
    """Remove the chunks of a body."""
    with transaction.cursor(db=tables.bodies) as cursor:
        more = cursor.set_range(sid)
        while more and cursor.key()[:16] == sid:
            more = cursor.delete()
