"""The audit ring: what happened to sessions, newest last, with room for a fixed number of events.

Three rings, so that nobody who has not signed in can push the life of real sessions out of sight: not with invented
tokens, and not with sessions that anyone can begin and end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from coatcheck.codec import pack, unpack
from coatcheck.codec_packers import pack_quickly
from coatcheck.errors import CorruptRecord, EncryptionKeyMissing
from coatcheck.sealing import DETAIL, ID_SIZE, PRINCIPAL

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing
    from coatcheck.store.tables import Cursor, Tables, Transaction

LIFE: Final = b"L"
"""The ring of created, login, rotated, deleted, revoked, expired, ... of sessions with a principal, and of what
operators do."""

ANONYMOUS: Final = b"A"
"""The ring of the same for sessions that nobody has signed in to; those that a sweep removes are one event."""

REFUSED: Final = b"R"
"""The ring of refused tokens, dropped writes and limits that were hit, one event per subject and minute."""

RINGS: Final = (LIFE, ANONYMOUS, REFUSED)

ROOM: Final = {LIFE: 100_000, ANONYMOUS: 20_000, REFUSED: 10_000}
"""Events a ring holds before the oldest fall out."""

UNREADABLE: Final = "sealed_under"
"""In the detail of an event that cannot be opened: the id of its key, or "?" where it was changed."""

Row = tuple[int, str, bytes, "str | bytes | None", "dict[str, Any] | bytes"]
"""When (microseconds UTC), kind, sid, principal, detail; the last two are bytes where they are sealed."""

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
    """Numbers and names that belong to the kind; ``by`` where somebody acted on what is not his own."""


def note(
    transaction: Transaction,
    tables: Tables,
    at: int,
    kind: str,
    sid: bytes = b"",
    principal: str | bytes | None = None,
    *,
    ring: bytes | None = None,
    detail: Mapping[str, Any] | bytes | None = None,
) -> None:
    """Append an event inside the transaction that did what it tells of.

    ``ring``: None, that of sessions with a principal where there is one, or no session at all.
    In an encrypted store the principal is given as the session has it, sealed, and the detail by ``sealed_detail``.
    """
    known = detail if isinstance(detail, bytes) else dict(detail or {})
    if ring is None:
        ring = ANONYMOUS if sid and principal is None else LIFE
    note_all(transaction, tables, [(at, kind, sid, principal, known)], ring)


def sealed_detail(detail: Mapping[str, Any], sealing: Sealing | None) -> Mapping[str, Any] | bytes:
    """What is to be told, as it is to be kept."""
    return detail if sealing is None else sealing.session(b"").seal(DETAIL, pack(dict(detail)))


def note_all(transaction: Transaction, tables: Tables, rows: Iterable[Row], ring: bytes = LIFE) -> None:
    """Append events, in order."""
    number = last_number(transaction, tables, ring) + 1
    for row in rows:
        # What the quick packer takes of a row can be loaded again as it is; it does not take lone surrogates.
        packed = pack_quickly([*row]) or pack([*row])
        transaction.put(_KEY.pack(ring, number), packed, db=tables.audit)
        if number >= ROOM[ring]:
            transaction.delete(_KEY.pack(ring, number - ROOM[ring]), db=tables.audit)
        number += 1


def last_number(transaction: Transaction, tables: Tables, ring: bytes) -> int:
    """The number of the newest event of a ring; -1 where there is none."""
    with transaction.cursor(db=tables.audit) as cursor:
        return int(_KEY.unpack(cursor.key())[1]) if _to_last(cursor, ring) else -1


def _to_last(cursor: Cursor, ring: bytes) -> bool:
    found = cursor.prev() if cursor.set_range(bytes((ring[0] + 1,))) else cursor.last()
    return found and cursor.key()[:1] == ring


def events_backwards(
    transaction: Transaction, tables: Tables, ring: bytes, sealing: Sealing | None = None
) -> Iterator[AuditEvent]:
    """The events of a ring, newest first."""
    with transaction.cursor(db=tables.audit) as cursor:
        more = _to_last(cursor, ring)
        while more and cursor.key()[:1] == ring:
            yield _event(cursor, sealing)
            more = cursor.prev()


def _event(cursor: Cursor, sealing: Sealing | None) -> AuditEvent:
    at, kind, sid, principal, detail = opened(unpack(cursor.value()), sealing)
    return AuditEvent(_KEY.unpack(cursor.key())[1], at, kind, sid.hex(), principal, detail)


def events(
    transaction: Transaction,
    tables: Tables,
    ring: bytes = LIFE,
    after: int = -1,
    limit: int = 1000,
    sealing: Sealing | None = None,
) -> Iterator[AuditEvent]:
    """Events after that sequence number, oldest first, at most ``limit``.

    What is sealed and cannot be opened is left out of an event: what happened, and when, can be told all the same.
    """
    with transaction.cursor(db=tables.audit) as cursor:
        more = cursor.set_range(_KEY.pack(ring, after + 1))
        while more and limit and cursor.key()[:1] == ring:
            yield _event(cursor, sealing)
            limit -= 1
            more = cursor.next()


def opened(row: Row, sealing: Sealing | None) -> tuple[int, str, bytes, str | None, dict[str, Any]]:
    """A row in the clear; without what cannot be opened, and with the reason in the detail."""
    at, kind, sid, principal, detail = row
    told: dict[str, Any] = {}
    name: str | None = None
    try:
        if isinstance(principal, bytes):
            name = _open(sealing, sid, PRINCIPAL, principal).decode("utf-8", "surrogatepass")
        else:
            name = principal
        told = unpack(_open(sealing, b"", DETAIL, detail)) if isinstance(detail, bytes) else detail
    except EncryptionKeyMissing as error:
        told = {UNREADABLE: error.key_id}
    except CorruptRecord:
        told = {UNREADABLE: "?"}
    return at, kind, sid, name, told


def _open(sealing: Sealing | None, sid: bytes, place: bytes, piece: bytes) -> bytes:
    if sealing is None:
        raise EncryptionKeyMissing(piece[:ID_SIZE].hex())
    return sealing.session(sid).open(place, piece)


def reseal(
    transaction: Transaction,
    tables: Tables,
    key: bytes,
    former: Sealing | None,
    sealing: Sealing | None,
    *,
    without_unreadable: bool = False,
) -> bool:
    """Keep an event under the newest key, or in the clear without one; whether that could be done.

    ``without_unreadable``: what cannot be opened is given up.
    """
    row = transaction.get(key, db=tables.audit)
    if row is None:
        return True
    sealed: Row = unpack(row)
    at, kind, sid, principal, detail = opened(sealed, former)
    if UNREADABLE in detail and not without_unreadable:
        return False
    told = {} if UNREADABLE in detail else detail
    name: str | bytes | None = principal
    if sealing is not None and principal is not None:
        name = sealing.session(sid).seal(PRINCIPAL, principal.encode("utf-8", "surrogatepass"))
    kept = sealed_detail(told, sealing) if told else told
    transaction.put(key, pack([at, kind, sid, name, kept]), db=tables.audit)
    return True
