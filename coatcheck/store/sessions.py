"""From a token to a session, within the limits: what the verbs have in common."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import lmdb

from coatcheck.clock import SECOND
from coatcheck.errors import BadToken, CorruptRecord, SessionConflict, SessionMissing, SessionTooLarge, StoreFull
from coatcheck.store import header, token_table
from coatcheck.store.draft import Draft, read_chunks
from coatcheck.store.header import CHUNKED, FORMAT
from coatcheck.store.lmdb_errors import translate
from coatcheck.store.record import Record
from coatcheck.store.sealed_draft import SealedDraft
from coatcheck.store.sealed_record import SealedRecord
from coatcheck.store.tables import CURRENT, DELETED, GRACE, TOKEN, Transaction
from coatcheck.store.telling import Telling

if TYPE_CHECKING:
    from coatcheck.store.apply import Step
    from coatcheck.store.contract import Reason, SessionInfo

KEPT_FOR: Final = 60 * SECOND
"""How long a request is known again, and a take can be given back, in microseconds."""

USUALLY_KEPT: Final = 8
_log = logging.getLogger("coatcheck.store")

_BURST: Final = 10 * SECOND
_BURST_KEPT: Final = 128


class Sessions(Telling):
    """Finding, changing and ending one session inside a transaction."""

    # From a token to a session ---------------------------------------------------------------------------------

    def _hash(self, token: str) -> bytes:
        """The hash of a token. Raises BadToken."""
        if self._environment is None:
            self._join()
        token_hash = self._tokens.hash_of(token)
        if token_hash is None:
            self.counters["absent_forged"] += 1
            raise BadToken
        return token_hash

    def _draft(self, transaction: Transaction, token_hash: bytes, now: int) -> tuple[Draft, bool]:
        """The live session of a token, and whether the token is in grace. Raises SessionMissing."""
        tables = self._here.tables
        packed = transaction.get(token_hash, db=tables.tokens)
        if packed is None:
            self._miss("unknown")
        sid, state, since, _ = TOKEN.unpack(packed)
        if state != CURRENT and (state != GRACE or now >= since):
            self._miss(token_table.REASONS[state])
        row = transaction.get(sid, db=tables.sessions)
        if row is None:
            self._miss("expired" if state == CURRENT else "retired")
        draft = self._open_draft(transaction, sid, row)
        if now >= draft.deadline:
            self._miss("expired")
        return draft, state != CURRENT

    def _open_draft(self, transaction: Transaction, sid: bytes, row: bytes | None) -> Draft:
        here, sealing = self._here, self._sealing
        if row is not None and row[0] != FORMAT:
            row = header.current(row)
        if sealing is None:
            draft = Draft(transaction, here.tables, sid, row)
        else:
            draft = SealedDraft(transaction, here.tables, sid, row, sealing)
        draft.flash_limit = here.policy.max_flashes
        return draft

    def _miss(self, reason: Reason) -> NoReturn:
        self.counters[f"absent_{reason}"] += 1
        raise SessionMissing(reason)

    def _end(self, draft: Draft, state: int, now: int, kind: str) -> None:
        """Delete a session and remember why for each of its tokens."""
        kept = now + (token_table.ENDED_KEPT if kind != "expired" else token_table.EXPIRED_KEPT)
        variable = draft.variable
        for token_hash in (draft.token_hash, *(each[0] for each in variable.graces)):
            token_table.bury(draft.transaction, draft.tables, token_hash, draft.sid, state, now, kept)
        draft.delete()
        self._tell(draft, now, kind)
        self.counters[kind] += 1

    def _look(self, token_hash: bytes, now: int) -> Record | tuple[Any, float | None]:
        environment = self._environment or self._join()
        transaction = environment.begin_read()
        try:
            tables = environment.tables
            packed = transaction.get(token_hash, db=tables.tokens)
            if packed is None:
                return "unknown", None
            sid, state, since, _ = TOKEN.unpack(packed)
            if state != CURRENT and (state != GRACE or now >= since):
                return token_table.REASONS[state], max(0.0, (now - since) / 1e6)
            row = transaction.get(sid, db=tables.sessions)
            if row is None:
                # Its session has been swept; every other end is written into the row of the token.
                return "expired" if state == CURRENT else "retired", None
            if row[0] != FORMAT:
                row = header.current(row)
            body = b"".join(read_chunks(transaction, tables, sid)) if row[1] & CHUNKED else None
        except lmdb.Error as error:
            raise translate(error, environment.home) from error
        finally:
            environment.end_read(transaction)
        in_grace, sealing = state != CURRENT, self._sealing
        record = (
            Record(sid, row, body, in_grace=in_grace)
            if sealing is None
            else SealedRecord(sid, row, body, sealing, in_grace=in_grace)
        )
        if now >= record.expires_at:
            return "expired", (now - record.expires_at) / 1e6
        return record

    @staticmethod
    def _record(transaction: Any, draft: Draft) -> Record:
        """The record behind a draft that was not changed."""
        chunked = draft.flags & CHUNKED
        body = b"".join(read_chunks(transaction, draft.tables, draft.sid)) if chunked else None
        return draft.record(draft.row, body)

    def _record_at(self, sid: bytes, row: bytes, body: bytes | None = None) -> Record:
        """The record of a row of the present format."""
        sealing = self._sealing
        return Record(sid, row, body) if sealing is None else SealedRecord(sid, row, body, sealing)

    def _listed(self, sid: bytes, row: bytes, now: int) -> SessionInfo | None:
        """A session as it is listed, None when it has ended. One that cannot be read must not hide the others."""
        try:
            record = self._record_at(sid, header.current(row))
            return record.info() if now < record.expires_at else None
        except CorruptRecord as error:
            _log.warning("a session is left out of a list: %s", error)
            return None

    # Limits and repeats ----------------------------------------------------------------------------------------

    def _apply(self, draft: Draft, steps: Sequence[Step], if_version: int | None = None) -> None:
        """Apply steps within the limits. Raises SessionConflict, SessionTooLarge, ChangeRefused, StoreFull."""
        if if_version is not None and draft.version != if_version:
            self.counters["conflict"] += 1
            raise SessionConflict(if_version, draft.version)
        for step in steps:
            step(draft)
        length = draft.new_length
        if length > self._here.policy.max_session_bytes:
            self._check_size(draft)
        if draft.is_new or (length > draft.old_length and draft.grows):
            try:
                self._room.require()
            except StoreFull:
                self._limit_hit("room")
                raise
        if draft.flashes_dropped:
            self.counters["flashes_dropped"] += draft.flashes_dropped
            self._limit_hit("max_flashes", draft, draft.flashes_dropped)

    def _check_size(self, draft: Draft) -> None:
        limit = self._here.policy.max_session_bytes
        size = draft.size
        if size <= limit or size <= draft.old_size:
            return
        flashes = size - draft.size_with([])
        values = draft.values
        key = max(values, key=lambda each: len(values[each]), default="")
        largest = len(values[key]) if key else 0
        if flashes > largest:
            key, largest = "flashes", flashes
        self._limit_hit("max_session_bytes", draft)
        raise SessionTooLarge(key, size, limit, largest)

    @staticmethod
    def _is_repeat(draft: Draft, request_id: bytes | None) -> bool:
        return request_id is not None and any(each[0] == request_id for each in draft.variable.repeats)

    @staticmethod
    def _remember(draft: Draft, request_id: bytes | None, now: int) -> None:
        if request_id is None:
            return
        kept = beside_one_more(draft.variable.repeats, now)
        draft.variable = draft.variable._replace(repeats=[*kept, [request_id, now]])

    def _changed(
        self, draft: Draft, steps: Sequence[Step], if_version: int | None, now: int, request_id: bytes | None
    ) -> Record:
        """Apply steps to a draft and store it, or end it where they say so."""
        self._apply(draft, steps, if_version)
        return self._stored(draft, now, request_id)

    def _stored(self, draft: Draft, now: int, request_id: bytes | None) -> Record:
        """Store a draft to which all changes were applied, or end it where they say so."""
        draft.last_seen = now
        self._remember(draft, request_id, now)
        if not draft.dropped:
            return draft.store()
        record = draft.store()
        self._end(draft, DELETED, now, "deleted")
        record.ended = True
        return record


def lately(entries: list[list[Any]], now: int) -> list[list[Any]]:
    """Of repeats or takes, whose second item is their time, those that still count."""
    return [each for each in entries if now - KEPT_FOR < each[1] <= now + KEPT_FOR]


def beside_one_more(entries: list[list[Any]], now: int) -> list[list[Any]]:
    """Of repeats or takes those that are kept when one more is added.

    Eight of the last minute; but whatever many askers at once have sent within the last seconds: behind a manager that
    was killed, all whose answers were lost come again at the same time, and the last of them after all the others.
    """
    counting = lately(entries, now)
    burst = sum(each[1] > now - _BURST for each in counting)
    return counting[1 - min(_BURST_KEPT, max(USUALLY_KEPT, burst + 1)) :]
