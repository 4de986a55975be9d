"""Putting a copy in its place, with its indexes, unless something newer is known; and taking it away."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CorruptRecord
from coatcheck.redis.shared.rows import Copy, copy_of, put_copy, tag_at
from coatcheck.store import header as headers
from coatcheck.store import token_table
from coatcheck.store.draft import INLINE, delete_chunks
from coatcheck.store.header import CHUNKED, HEADER
from coatcheck.store.tables import CURRENT, EXPIRY, GRACE, MEMBER, SESSION_DUE, TOKEN_DUE, Tables, Transaction

if TYPE_CHECKING:
    from coatcheck.redis.calls import Keep
    from coatcheck.redis.layout import TokenRow
    from coatcheck.redis.rest import Session

_NUMBER: Final = struct.Struct(">I")


def put(
    transaction: Transaction,
    tables: Tables,
    said: Keep,
    epochs: Sequence[int],
    now: int,
    require_room: Callable[[], None],
) -> bool:
    """Keep what Redis has said of one session; False when something newer is known.

    ``epochs`` are those of before Redis was asked: what it said before it lost its data is not kept after that.
    """
    sid = said.sid
    if sid is None:
        # No such token. If we know it to lead somewhere, Redis has lost that.
        entry = None if said.token_hash is None else token_table.get(transaction, tables, said.token_hash)
        if entry is None or entry.state not in (CURRENT, GRACE):
            return True
        sid = entry.sid
    number = sid[0] >> 4
    tag = tag_at(transaction, tables, number)
    copy = copy_of(transaction, tables, sid)
    if epochs[number] != tag.epoch or said.position < (tag.position if copy is None else copy.heard):
        return False
    session = said.session
    if session is None or session.is_revoked or session.deadline <= now:
        drop(transaction, tables, sid)
    elif copy is not None or said.row is None or said.row.leads(now):
        if copy is None:
            require_room()
        _install(transaction, tables, session, now)
        known = Copy(0, tag.epoch, said.position, session.revision, int(session.bound))
        put_copy(transaction, tables, sid, known)
    for token_hash, row in said.buried:
        _bury(transaction, tables, token_hash, row, now)
    if said.row is not None and said.token_hash is not None and not said.row.leads(now):
        _bury(transaction, tables, said.token_hash, said.row, now)
    return True


def _bury(transaction: Transaction, tables: Tables, token_hash: bytes, row: TokenRow, now: int) -> None:
    if row.kept > now:
        token_table.bury(transaction, tables, token_hash, row.sid, row.state, row.since, row.kept)


def _install(transaction: Transaction, tables: Tables, session: Session, now: int) -> None:
    """Put a session as it is, in the place of its copy."""
    sid, row = session.sid, session.row()
    fixed = headers.parse(row)
    start = HEADER.size + fixed.variable_length
    variable, body = headers.parse_variable(row, fixed.variable_length), row[start:]
    deadline = headers.deadline_of(fixed)
    tokens = {fixed.token_hash, *(each[0] for each in variable.graces)}
    filed = _replaced(transaction, tables, sid, deadline, tokens, variable, fixed.created)
    if filed is None:
        filed = deadline
        transaction.put(EXPIRY.pack(filed, SESSION_DUE, sid), b"", db=tables.expiry)
    flags = fixed.flags | CHUNKED if len(body) > INLINE else fixed.flags
    head = HEADER.pack(*fixed._replace(flags=flags, filed=filed)) + row[HEADER.size : start]
    if flags & CHUNKED:
        size = transaction.stat(tables.bodies)["psize"] - 16
        for number, begin in enumerate(range(0, len(body), size)):
            transaction.put(sid + _NUMBER.pack(number), body[begin : begin + size], db=tables.bodies)
    transaction.put(sid, head if flags & CHUNKED else head + body, db=tables.sessions)
    if variable.principal_hash:
        transaction.put(variable.principal_hash, MEMBER.pack(fixed.created, sid), db=tables.principals)
    known = token_table.get(transaction, tables, fixed.token_hash)
    if known is None or known.state != CURRENT or known.sid != sid:
        forget_token(transaction, tables, fixed.token_hash)
        token_table.put_current(transaction, tables, fixed.token_hash, sid, now)
    for token_hash, until in variable.graces:
        token_table.bury(transaction, tables, token_hash, sid, GRACE, until, now + token_table.ENDED_KEPT)


def _replaced(
    transaction: Transaction,
    tables: Tables,
    sid: bytes,
    deadline: int,
    tokens: set[bytes],
    variable: headers.Variable,
    created: int,
) -> int | None:
    """Take away what another session has in its place that this one has not; when it goes on being filed."""
    old = transaction.get(sid, db=tables.sessions)
    if old is None:
        return None
    try:
        row = headers.current(old)
        fixed = headers.parse(row)
        before = headers.parse_variable(row, fixed.variable_length)
    except (CorruptRecord, IndexError):
        drop(transaction, tables, sid)
        return None
    if fixed.flags & CHUNKED:
        delete_chunks(transaction, tables, sid)
    if before.principal_hash and (before.principal_hash, fixed.created) != (variable.principal_hash, created):
        transaction.delete(before.principal_hash, MEMBER.pack(fixed.created, sid), db=tables.principals)
    for token_hash in {fixed.token_hash, *(each[0] for each in before.graces)} - tokens:
        # Redis knows what became of it.
        forget_token(transaction, tables, token_hash)
    if fixed.filed <= deadline:
        return fixed.filed
    transaction.delete(EXPIRY.pack(fixed.filed, SESSION_DUE, sid), db=tables.expiry)
    return None


def drop(transaction: Transaction, tables: Tables, sid: bytes) -> None:
    """Take a copy away, with its entries and its tokens, as if it had never been here."""
    transaction.delete(sid, db=tables.copies)
    row = transaction.get(sid, db=tables.sessions)
    if row is None:
        return
    transaction.delete(sid, db=tables.sessions)
    delete_chunks(transaction, tables, sid)
    try:
        row = headers.current(row)
        fixed = headers.parse(row)
        transaction.delete(EXPIRY.pack(fixed.filed, SESSION_DUE, sid), db=tables.expiry)
        forget_token(transaction, tables, fixed.token_hash)
        variable = headers.parse_variable(row, fixed.variable_length)
    except (CorruptRecord, IndexError):
        return
    for token_hash, _ in variable.graces:
        forget_token(transaction, tables, token_hash)
    if variable.principal_hash:
        transaction.delete(variable.principal_hash, MEMBER.pack(fixed.created, sid), db=tables.principals)


def forget_token(transaction: Transaction, tables: Tables, token_hash: bytes) -> None:
    """Forget a token, and when it was to be forgotten."""
    known = token_table.get(transaction, tables, token_hash)
    if known is None:
        return
    if known.kept:
        transaction.delete(EXPIRY.pack(known.kept, TOKEN_DUE, token_hash), db=tables.expiry)
    transaction.delete(token_hash, db=tables.tokens)
