"""The sub-databases of the store, and the layout of the small rows in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import lmdb

Table = Any
"""A handle of LMDB; its class is private to lmdb."""


class Cursor(Protocol):
    """A cursor of LMDB that copies what it finds."""

    def key(self) -> bytes: ...
    def value(self) -> bytes: ...
    def first(self) -> bool: ...
    def last(self) -> bool: ...
    def next(self) -> bool: ...
    def prev(self) -> bool: ...
    def set_key(self, key: bytes) -> bool: ...
    def set_key_dup(self, key: bytes, value: bytes) -> bool: ...
    def set_range(self, key: bytes) -> bool: ...
    def delete(self) -> bool: ...
    def iternext_dup(self) -> Iterator[bytes]: ...
    def __iter__(self) -> Iterator[tuple[bytes, bytes]]: ...
    def __enter__(self) -> Cursor: ...
    def __exit__(self, *details: object) -> None: ...


class Transaction(Protocol):
    """A transaction of LMDB that copies what it finds: the part of its class that the store uses."""

    def get(self, key: bytes, default: bytes | None = None, *, db: Table) -> bytes | None: ...
    def put(self, key: bytes, value: bytes, *, db: Table) -> bool: ...
    def delete(self, key: bytes, value: bytes = b"", *, db: Table) -> bool: ...
    def cursor(self, *, db: Table) -> Cursor: ...
    def stat(self, db: Table) -> dict[str, int]: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


class Tables(NamedTuple):
    """The handles, all opened in one write transaction."""

    sessions: Table
    """sid -> header, and the body while it is small"""
    bodies: Table
    """sid + number of the chunk (4 bytes) -> chunk"""
    tokens: Table
    """token hash -> TOKEN row"""
    expiry: Table
    """time + kind + id -> nothing, in the order of time"""
    principals: Table
    """principal hash -> created + sid (sorted duplicates)"""
    audit: Table
    """ring (1 byte) + sequence (8 bytes) -> event"""
    outbox: Table
    """sequence -> change for Redis"""
    copies: Table
    """sid -> what is known of the copy of a session that Redis has"""
    meta: Table
    """what all openers must agree on"""


COUNT: Final = len(Tables._fields)

TOKEN: Final = struct.Struct(">16sBQQ")
"""sid, state, when it changed into this state (of a grace: when it ends), kept until."""

CURRENT: Final = 0
GRACE: Final = 1
RETIRED: Final = 2
DELETED: Final = 3
REVOKED: Final = 4
EXPIRED: Final = 5

EXPIRY: Final = struct.Struct(">QB16s")
"""When (microseconds UTC), what, and its id."""

SESSION_DUE: Final = ord("S")
TOKEN_DUE: Final = ord("T")

MEMBER: Final = struct.Struct(">Q16s")
"""Created (microseconds UTC), sid."""


def open_tables(environment: lmdb.Environment, transaction: lmdb.Transaction) -> Tables:
    """Open all handles, and make the tables that are not there.

    Raises lmdb.InvalidError for a data file in which somebody else has put something.
    """
    if environment.stat()["entries"]:
        try:
            environment.open_db(b"meta", txn=transaction, create=False)
        except lmdb.NotFoundError:
            msg = "it holds tables of another application"
            raise lmdb.InvalidError(msg) from None
    return Tables(
        *(
            environment.open_db(
                name.encode(), txn=transaction, dupsort=name == "principals", dupfixed=name == "principals"
            )
            for name in Tables._fields
        )
    )
