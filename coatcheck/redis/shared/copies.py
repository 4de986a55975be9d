"""The local store of a host whose sessions Redis has: copies, read from memory, put there with what is known of them.

A copy may answer while it is as Redis has it, but for the last second: it was not changed since (or the follower would
have marked it dirty), its tag is of the epoch in which it was read, and the follower is live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import lmdb

from coatcheck.errors import CoatcheckError, CorruptRecord, StoreFull
from coatcheck.redis.shared import putting
from coatcheck.redis.shared.pulse import Pulse
from coatcheck.redis.shared.reading import view_of_copy
from coatcheck.redis.shared.rows import copy_of
from coatcheck.store import header, token_table
from coatcheck.store.draft import read_chunks
from coatcheck.store.header import CHUNKED
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.lmdb_errors import translate
from coatcheck.store.record import Record
from coatcheck.store.tables import CURRENT, GRACE, TOKEN
from coatcheck.store.transactions import Read, Write

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.redis.calls import Keep
    from coatcheck.redis.rest import View
    from coatcheck.settings import Settings
    from coatcheck.store.contract import Reason
    from coatcheck.store.environment import Environment

KEEP_WITHIN: Final = 0.25
"""Seconds that a copy waits for its turn to be put. Without it the session is only read from Redis once more."""


class Near(NamedTuple):
    """What is known here of a token."""

    record: Record | None = None
    """The copy, whether it may answer or not."""
    reason: Reason | None = None
    """Why there is no session, where that can never change."""
    ended_ago: float | None = None
    is_sure: bool = False
    """Whether that is an answer. Otherwise Redis has to be asked."""


NOTHING: Final = Near()


class Copies(LmdbStore):
    """A store in shared memory for copies only; its verbs are not for them."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, background: bool = True) -> None:
        """See :class:`LmdbStore`."""
        super().__init__(settings, clock=clock, background=background)
        self.pulse = Pulse(settings.home)

    def _exchange(self, environment: Environment | None) -> None:
        if environment is not None:
            environment.upkeep.copies = True
        super()._exchange(environment)
        self.pulse.close()

    # Reading ---------------------------------------------------------------------------------------------------

    def near(self, token_hash: bytes, now: int) -> Near:
        """What is known here of the session of a token."""
        environment = self._environment or self._join()
        transaction = environment.begin_read()
        try:
            tables = environment.tables
            packed = transaction.get(token_hash, db=tables.tokens)
            if packed is None:
                return NOTHING
            sid, state, since, kept = TOKEN.unpack(packed)
            if state != CURRENT and (state != GRACE or now >= since):
                if kept <= now:
                    return NOTHING
                return Near(None, token_table.REASONS[state], max(0.0, (now - since) / 1e6), is_sure=True)
            row = transaction.get(sid, db=tables.sessions)
            copy = copy_of(transaction, tables, sid)
            if row is None or copy is None:
                return NOTHING
            row = header.current(row)
            body = b"".join(read_chunks(transaction, tables, sid)) if row[1] & CHUNKED else None
        except lmdb.Error as error:
            raise translate(error, environment.home) from error
        finally:
            environment.end_read(transaction)
        record = Record(sid, row, body, in_grace=state != CURRENT)
        if now >= record.expires_at:
            return NOTHING
        return Near(record, is_sure=not copy.dirty and self.pulse.is_live(sid[0] >> 4, copy.epoch))

    def view(self, token_hash: bytes, unless: bytes | None = None) -> View | None:
        """The copy as Redis has it, to make a change of; None where it is known to be another.

        ``unless``: a revision that need not be read, as the caller has it.
        """
        with Read(self.environment) as transaction:
            return view_of_copy(transaction, self._tables, token_hash, unless)

    def count(self) -> int:
        """How many copies there are."""
        with Read(self.environment) as transaction:
            return transaction.stat(self._tables.copies)["entries"]

    def epochs(self) -> list[int]:
        """Of all tags: to be taken before Redis is asked, and given to ``keep``."""
        return self.pulse.epochs()

    # Putting ---------------------------------------------------------------------------------------------------

    def keep(self, said: Sequence[Keep], epochs: Sequence[int], *, timeout: float = KEEP_WITHIN) -> None:
        """Keep what Redis has said, each unless something newer is known. Never raises: Redis has it anyway."""
        try:
            self._room.look()
            with Write(self.environment, timeout) as transaction:
                now = self._now()
                for each in said:
                    kept = putting.put(transaction, self._tables, each, epochs, now, self._require_room)
                    self.counters["kept" if kept else "overtaken"] += 1
        except CoatcheckError as error:
            # The follower will hear of it.
            self.counters["not_kept"] += len(said)
            if isinstance(error, (StoreFull, CorruptRecord)):
                self._forget([each.sid for each in said if each.sid is not None], timeout)

    def _require_room(self) -> None:
        self._room.require()

    def _forget(self, sids: Sequence[bytes], timeout: float) -> None:
        """Rather no copy than an old one."""
        try:
            with Write(self.environment, timeout) as transaction:
                for sid in sids:
                    putting.drop(transaction, self._tables, sid)
        except CoatcheckError:
            self.counters["not_kept"] += 1
