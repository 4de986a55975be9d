"""A store in Redis, written into a state directory, which any LmdbStore opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from coatcheck.errors import ConfigurationError
from coatcheck.settings import Settings
from coatcheck.store import files, token_table
from coatcheck.store import header as headers
from coatcheck.store.draft import Draft
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.record import Record
from coatcheck.store.tables import GRACE, MEMBER

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.store.policy import Policy


@contextmanager
def into(
    target: str | PathLike[str], settings: Settings, policy: Policy, clock: Clock
) -> Iterator[Callable[[Sequence[Record]], None]]:
    """A new state directory, and what puts sessions into it. Raises ConfigurationError for one that is there."""
    home = Path(target)
    files.prepare_directory(home)
    if any(home.iterdir()):
        msg = f"{home} is not empty: name a new directory for the backup"
        raise ConfigurationError(msg)
    if settings.secrets is None:
        secret = settings.home / files.SECRET
        files.write_private(home / files.SECRET, secret.read_text(encoding="utf-8"))
    store = LmdbStore(
        Settings(
            home=home,
            secrets=settings.secrets,
            max_session_bytes=policy.max_session_bytes,
            max_flashes=policy.max_flashes,
            max_sessions_per_principal=policy.max_sessions_per_principal,
            on_principal_limit=policy.on_principal_limit,  # type: ignore[arg-type]
        ),
        clock=clock,
        background=False,
    )
    try:
        store.prepare()
        yield lambda records: _keep(store, records, clock.now())
        store.sync()
    finally:
        store.close()


def _keep(store: LmdbStore, records: Sequence[Record], now: int) -> None:
    environment = store.environment
    with store._write() as transaction:  # noqa: SLF001 - as the store's own commands do
        tables = environment.tables
        for record in records:
            sid, row, _, _, _ = msgpack.unpackb(record.to_wire())
            fixed = headers.parse(row)
            variable = headers.parse_variable(row, fixed.variable_length)
            draft = Draft(transaction, tables, sid, None)
            draft.created, draft.last_seen, draft.started = fixed.created, fixed.last_seen, fixed.started
            draft.idle, draft.absolute, draft.touch_interval = fixed.idle, fixed.absolute, fixed.touch_interval
            draft.token_hash, draft.version = fixed.token_hash, fixed.version - 1
            body = row[headers.HEADER.size + fixed.variable_length :]
            draft.replace_all(variable, body, fixed.flags)
            draft.store()
            token_table.put_current(transaction, tables, fixed.token_hash, sid, now)
            for token_hash, until in variable.graces:
                kept = now + token_table.ENDED_KEPT
                token_table.bury(transaction, tables, token_hash, sid, GRACE, until, kept)
            if variable.principal_hash:
                member = MEMBER.pack(fixed.created, sid)
                transaction.put(variable.principal_hash, member, db=tables.principals)
