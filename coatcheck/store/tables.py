"""The sub-databases of the store, and the layout of the small rows in them."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import lmdb

Table = Any
"""A handle of LMDB; its class is private to lmdb."""


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
