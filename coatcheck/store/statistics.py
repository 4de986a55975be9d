"""Counts and sizes, read from the tables: nothing is counted on the write path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from coatcheck.store import encryption, files
from coatcheck.store.contract import StoreStats
from coatcheck.store.tables import EXPIRY
from coatcheck.store.transactions import Read

if TYPE_CHECKING:
    from coatcheck.store.environment import Environment

DUE_COUNTED: Final = 10_000


def count(environment: Environment, now: int, counters: Mapping[str, int]) -> StoreStats:
    """The statistics of a store as it is now."""
    used = environment.used_bytes()
    with Read(environment) as transaction:
        tables = environment.tables
        entries = {name: transaction.stat(table)["entries"] for name, table in zip(tables._fields, tables, strict=True)}
        keys = " ".join(each.hex() for each in encryption.noted(transaction, tables))
        due, oldest = 0, now
        with transaction.cursor(db=tables.expiry) as cursor:
            more = cursor.first()
            while more and due < DUE_COUNTED:
                when = EXPIRY.unpack(cursor.key())[0]
                if when > now:
                    break
                oldest = min(oldest, when)
                due += 1
                more = cursor.next()
    return StoreStats(
        sessions=entries["sessions"],
        principals=entries["principals"],
        tokens=entries["tokens"],
        due=due,
        oldest_due=(now - oldest) / 1e6,
        used_bytes=used,
        map_bytes=environment.policy.map_size,
        file_bytes=(environment.home / files.DATA).stat().st_size,
        readers=environment.readers(),
        audit_events=entries["audit"],
        durability=environment.policy.durability,
        encryption=keys,
        counters=dict(counters),
    )
