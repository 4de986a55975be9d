"""What the audit rings have of one session or one principal, and how a principal is taken out of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from coatcheck.codec import pack, unpack
from coatcheck.store import audit
from coatcheck.store.transactions import Read, Write

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing
    from coatcheck.store.audit import AuditEvent
    from coatcheck.store.environment import Environment
    from coatcheck.store.tables import Tables, Transaction

_SEQUENCE: Final = struct.Struct(">cQ")
_SLICE: Final = 5000
_BATCH: Final = 100


def events_of(
    transaction: Transaction,
    tables: Tables,
    sealing: Sealing | None,
    *,
    sid: str | None = None,
    principal: str | None = None,
) -> list[tuple[bytes, AuditEvent]]:
    """The events of all rings that name this sid, or this principal, with their ring, oldest first.

    ``sid``: its hex digits, in lower case; or only the first of them, for the events of all whose sid begins so.
    """
    needle = b"" if sid is None else bytes.fromhex(sid[: len(sid) // 2 * 2])
    if principal is not None and sealing is None:
        needle = principal.encode("utf-8", "surrogatepass")
    found = []
    with transaction.cursor(db=tables.audit) as cursor:
        for key, value in _from(cursor, b""):
            # Most rows are left out unread: a row has the sid in it as it is, and the principal unless it is sealed.
            if needle not in value:
                continue
            at, kind, of, name, detail = audit.opened(unpack(value), sealing)
            if (sid is not None and of.hex().startswith(sid)) or (principal is not None and name == principal):
                ring, number = _SEQUENCE.unpack(key)
                found.append((ring, audit.AuditEvent(number, at, kind, of.hex(), name, detail)))
    # A stable order: of one moment, first what was written first.
    return sorted(found, key=lambda each: (each[1].at, each[0], each[1].sequence))


def forget(environment: Environment, sealing: Sealing | None, principal: str, timeout: float) -> int:
    """Take a principal, and all details, out of its events; a few at a time. How many there were."""
    position, changed = b"", 0
    needle = b"" if sealing is not None else principal.encode("utf-8", "surrogatepass")
    while True:
        with Read(environment) as transaction, transaction.cursor(db=environment.tables.audit) as cursor:
            rows = [row for row, _ in zip(_from(cursor, position), range(_SLICE), strict=False)]
        named = [key for key, value in rows if needle in value and _names(value, sealing, principal)]
        for start in range(0, len(named), _BATCH):
            with Write(environment, timeout) as transaction:
                for key in named[start : start + _BATCH]:
                    changed += _blank(transaction, environment.tables, key, sealing, principal)
        if len(rows) < _SLICE:
            return changed
        position = rows[-1][0] + b"\0"


def _blank(transaction: Transaction, tables: Tables, key: bytes, sealing: Sealing | None, principal: str) -> bool:
    # As it is now: it may have fallen out of the ring, or been sealed anew.
    value = transaction.get(key, db=tables.audit)
    if value is None or not _names(value, sealing, principal):
        return False
    at, kind, sid, _, _ = unpack(value)
    nothing = audit.sealed_detail({}, sealing) if key[:1] == audit.REFUSED else {}
    transaction.put(key, pack([at, kind, sid, None, nothing]), db=tables.audit)
    return True


def _names(value: bytes, sealing: Sealing | None, principal: str) -> bool:
    return audit.opened(unpack(value), sealing)[3] == principal


def _from(cursor: Any, position: bytes) -> Iterator[tuple[bytes, bytes]]:
    more = cursor.set_range(position) if position else cursor.first()
    while more:
        yield cursor.key(), cursor.value()
        more = cursor.next()
