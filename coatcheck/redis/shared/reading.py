"""A copy as the session lies in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from coatcheck.redis import rest
from coatcheck.redis.layout import TokenRow, moment
from coatcheck.redis.rest import Session, View
from coatcheck.redis.shared.rows import copy_of
from coatcheck.store import header as headers
from coatcheck.store import token_table
from coatcheck.store.body import Body
from coatcheck.store.draft import read_chunks
from coatcheck.store.header import CHUNKED, HEADER

if TYPE_CHECKING:
    from coatcheck.store.tables import Tables, Transaction

_NOBODY = bytes(16)


def view_of_copy(
    transaction: Transaction, tables: Tables, token_hash: bytes, unless: bytes | None = None
) -> View | None:
    """What a look into Redis would find, supposing that nothing has happened since; None without such a copy.

    None, too, where it is of the revision ``unless``.
    """
    entry = token_table.get(transaction, tables, token_hash)
    copy = None if entry is None else copy_of(transaction, tables, entry.sid)
    if entry is None or copy is None or copy.dirty or copy.revision == unless:
        return None
    row = transaction.get(entry.sid, db=tables.sessions)
    if row is None:
        return None
    row = headers.current(row)
    fixed = headers.parse(row)
    start = HEADER.size + fixed.variable_length
    raw = b"".join(read_chunks(transaction, tables, entry.sid)) if fixed.flags & CHUNKED else row[start:]
    body = Body(raw)
    values, flashes, takes = body.packed_values(), body.flashes(), body.takes()
    packed_header = HEADER.pack(
        *fixed._replace(flags=fixed.flags & ~CHUNKED, body_length=0, filed=headers.deadline_of(fixed))
    )
    fields = {
        rest.HEADER: packed_header + row[HEADER.size : start],
        rest.REVISION: copy.revision,
        rest.ORDER: rest.pack_order(list(values)),
    }
    if takes:
        fields[rest.TAKES] = msgpack.packb(takes)
    principal_hash = headers.parse_variable(row, fixed.variable_length).principal_hash
    if principal_hash:
        fields[rest.PRINCIPAL] = principal_hash.hex().encode()
        fields[rest.BOUND] = moment(copy.bound)
    if flashes:
        fields[rest.COUNT] = b"%d" % len(flashes)
    for key, packed in values.items():
        fields[rest.field_of(key)] = packed
    found = TokenRow(entry.sid, entry.state, entry.since, entry.kept, _NOBODY)
    return View(found, Session(entry.sid, fields, flashes, None))
