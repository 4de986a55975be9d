"""Counts and sizes, read from the tables: nothing is counted on the write path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from coatcheck.clock import NEVER, SECOND
from coatcheck.errors import CorruptRecord
from coatcheck.lifetimes import Lifetimes
from coatcheck.store import encryption, files, header
from coatcheck.store.contract import StoreStats
from coatcheck.store.tables import CURRENT, EXPIRY, TOKEN
from coatcheck.store.transactions import Read

if TYPE_CHECKING:
    from coatcheck.store.environment import Environment

DUE_COUNTED: Final = 10_000


def lifetimes_in_use(environment: Environment, now: int, most: int) -> dict[tuple[bool, Lifetimes], int]:
    """How many live sessions have a principal or not, and which lifetimes; of the first ``most``."""
    rows: Counter[tuple[bool, int, int, int]] = Counter()
    with Read(environment) as transaction, transaction.cursor(db=environment.tables.sessions) as cursor:
        for _, (_, row) in zip(range(most), cursor, strict=False):
            with suppress(CorruptRecord):
                current = header.current(row)
                found = header.parse(current)
                if now < header.deadline_of(found):
                    bound = header.parse_variable(current, found.variable_length).principal is not None
                    rows[bound, found.idle, found.absolute, found.touch_interval] += 1
    in_use: Counter[tuple[bool, Lifetimes]] = Counter()
    for (bound, *times), many in rows.items():
        idle, absolute, touch = (each / SECOND for each in times)
        in_use[bound, Lifetimes(idle or None, absolute or None, touch)] += many
    return dict(in_use)


def tokens_before(environment: Environment, now: int, moment: int) -> tuple[int, int]:
    """How many live sessions have a token that was made before that moment, and the last absolute end among them."""
    found, last = 0, 0
    with Read(environment) as transaction, transaction.cursor(db=environment.tables.tokens) as cursor:
        for _, packed in cursor:
            sid, state, since, _ = TOKEN.unpack(packed)
            if state != CURRENT or since >= moment:
                continue
            row = transaction.get(sid, db=environment.tables.sessions)
            with suppress(CorruptRecord):
                fields = None if row is None else header.parse(header.current(row))
                if fields is not None and now < header.deadline_of(fields):
                    found += 1
                    last = max(last, fields.started + fields.absolute if fields.absolute else NEVER)
    return found, last


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
