"""The audit ring: what happened to sessions, newest last, with room for a fixed number of events.

Two rings, so that an attacker who presents invented tokens cannot push the life of real sessions out of sight.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from coatcheck.codec import pack, unpack
from coatcheck.codec_packers import pack_quickly

if TYPE_CHECKING:
    from coatcheck.store.tables import Tables, Transaction

LIFE: Final = b"L"
"""The ring of created, login, rotated, deleted, revoked, expired, ..."""

REFUSED: Final = b"R"
"""The ring of forged, unknown and retired tokens, one event per peer and minute."""

ROOM: Final = {LIFE: 100_000, REFUSED: 10_000}
"""Events a ring holds before the oldest fall out."""

Row = tuple[int, str, bytes, "str | None", dict[str, Any]]
"""When (microseconds UTC), kind, sid, principal, detail."""

_KEY: Final = struct.Struct(">cQ")


@dataclass(frozen=True)
class AuditEvent:
    """One event. It holds no token and no session data."""

    sequence: int
    """Its number in its ring."""

    at: int
    """Microseconds UTC."""

    kind: str
    """``login``, ``rotated``, ``deleted``, ``revoked``, ``evicted``, ``expired``, ``forged``, ..."""

    sid: str = ""
    """The session, 32 hex digits, where there is one."""

    principal: str | None = None
    """Whom it was bound to."""

    detail: dict[str, Any] = field(default_factory=dict)
    """Numbers and names that belong to the kind."""


def note(
    transaction: Transaction,
    tables: Tables,
    at: int,
    kind: str,
    sid: bytes = b"",
    principal: str | None = None,
    *,
    ring: bytes = LIFE,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an event inside the transaction that did what it tells of."""
    note_all(transaction, tables, [(at, kind, sid, principal, dict(detail or {}))], ring)


def note_all(transaction: Transaction, tables: Tables, rows: Iterable[Row], ring: bytes = LIFE) -> None:
    """Append events, in order."""
    with transaction.cursor(db=tables.audit) as cursor:
        number = 0
        found = cursor.prev() if cursor.set_range(bytes((ring[0] + 1,))) else cursor.last()
        if found and cursor.key()[:1] == ring:
            number = _KEY.unpack(cursor.key())[1] + 1
    for row in rows:
        # What the quick packer takes of a row can be loaded again as it is; it does not take lone surrogates.
        packed = pack_quickly([*row]) or pack([*row])
        transaction.put(_KEY.pack(ring, number), packed, db=tables.audit)
        if number >= ROOM[ring]:
            transaction.delete(_KEY.pack(ring, number - ROOM[ring]), db=tables.audit)
        number += 1


def events(
    transaction: Transaction, tables: Tables, ring: bytes = LIFE, after: int = -1, limit: int = 1000
) -> Iterator[AuditEvent]:
    """Events after that sequence number, oldest first, at most ``limit``."""
    with transaction.cursor(db=tables.audit) as cursor:
        more = cursor.set_range(_KEY.pack(ring, after + 1))
        while more and limit and cursor.key()[:1] == ring:
            at, kind, sid, principal, detail = unpack(cursor.value())
            yield AuditEvent(_KEY.unpack(cursor.key())[1], at, kind, sid.hex(), principal, detail)
            limit -= 1
            more = cursor.next()
