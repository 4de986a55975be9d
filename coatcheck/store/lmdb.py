"""LmdbStore: sessions in memory that all processes of a host share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.changes import PushFlash, Set
from coatcheck.errors import SessionConflict, SessionMissing, StoreUnavailable
from coatcheck.store import apply, token_table
from coatcheck.store.administration import Administration
from coatcheck.store.arguments import check_lifetimes, check_mapping, check_version
from coatcheck.store.contract import Found
from coatcheck.store.draft import Draft
from coatcheck.store.flash_verbs import FlashVerbs
from coatcheck.store.full import again_when_full
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.meta import pack_meta
from coatcheck.store.record import Record
from coatcheck.store.resealing import Resealing
from coatcheck.store.rotation import RotationVerbs
from coatcheck.store.tables import DELETED, EXPIRED

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes


class LmdbStore(RotationVerbs, FlashVerbs, Resealing, Administration):
    """The contract of :class:`coatcheck.store.contract.SessionStore` on one state directory.

    Safe to build before a fork, and to share between threads; nothing is opened before the first verb.
    """

    def create(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        principal: str | None = None,
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        flashes: Iterable[FlashMessage] = (),
        token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str, Record]:
        """A new session; see the contract."""
        check_mapping("create", data)
        check_lifetimes(lifetimes)
        if self._environment is None:
            self._join()
        steps = apply.prepare(
            [*(Set(key, value) for key, value in (data or {}).items()), *(PushFlash(each) for each in flashes)]
        )
        binding = None if principal is None else self._binding(principal)
        packed_meta = pack_meta(meta)
        token = self._tokens.mint() if token is None else token
        token_hash = self._hash(token)
        chosen = lifetimes or (self.settings.anonymous if principal is None else self.settings.signed_in)

        def prepare(draft: Draft, now: int) -> None:
            draft.created = draft.started = draft.last_seen = now
            draft.idle, draft.absolute, draft.touch_interval = lifetimes_in_microseconds(chosen)
            draft.flags = OWN_LIFETIMES if lifetimes is not None else 0
            draft.token_hash = token_hash
            self._apply(draft, steps)
            draft.meta = packed_meta
            if binding is not None:
                self._bind(draft, binding, now)
                self._tell(draft, now, "created")

        return token, self._create(token, token_hash, prepare, request_id)

    @again_when_full
    def _create(
        self, token: str, token_hash: bytes, prepare: Callable[[Draft, int], None], request_id: bytes | None
    ) -> Record:
        environment = self.environment
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            tables = environment.tables
            known = token_table.get(transaction, tables, token_hash)
            if known is not None:
                return self._created_before(transaction, token_hash, now, request_id)
            draft = self._open_draft(transaction, self._tokens.new_sid(token), None)
            prepare(draft, now)
            self._remember(draft, request_id, now)
            token_table.put_current(transaction, tables, token_hash, draft.sid, now)
            record = draft.store()
        self.counters["create"] += 1
        return record

    def _created_before(self, transaction: Any, token_hash: bytes, now: int, request_id: bytes | None) -> Record:
        try:
            draft, _ = self._draft(transaction, token_hash, now)
        except SessionMissing:
            draft = None
        if draft is None or not self._is_repeat(draft, request_id):
            raise SessionConflict(None, None, "this token is in use, or has been: mint another")
        return self._record(transaction, draft)

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Record | None:  # noqa: ARG002 - one host
        """The live session, or None; see the contract."""
        if self._environment is None:
            self._join()
        token_hash = self._tokens.hash_of(token)
        if token_hash is None:
            self.counters["absent_forged"] += 1
            return None
        now = self._now()
        found = self._look(token_hash, now)
        if not isinstance(found, Record):
            self.counters[f"absent_{found[0]}"] += 1
            return None
        self.counters["load"] += 1
        if touch and now >= found.touch_due_at:
            return self._touch_if_free(token_hash, now) or found
        return found

    def _touch_if_free(self, token_hash: bytes, now: int) -> Record | None:
        """Store a due touch, unless a writer is in the way: the next request will do."""
        try:
            with self.no_wait(), self._write() as transaction:
                draft, in_grace = self._draft(transaction, token_hash, now)
                return self._touched(transaction, draft, in_grace=in_grace, now=now)
        except (StoreUnavailable, SessionMissing):
            return None

    def _touched(self, transaction: Any, draft: Draft, *, in_grace: bool, now: int) -> Record:
        if now >= draft.last_seen + draft.touch_interval or now < draft.last_seen:
            draft.last_seen = now
            draft.store_header()
            self.counters["touch"] += 1
        record = self._record(transaction, draft)
        record.in_grace = in_grace
        return record

    def find(self, token: str, *, fresh: bool = False) -> Found:  # noqa: ARG002 - one host
        """The live session, or why there is none; see the contract."""
        if self._environment is None:
            self._join()
        token_hash = self._tokens.hash_of(token)
        if token_hash is None:
            self.counters["absent_forged"] += 1
            return Found(reason="forged")
        found = self._look(token_hash, self._now())
        if isinstance(found, Record):
            return Found(found)
        self.counters[f"absent_{found[0]}"] += 1
        return Found(reason=found[0], ended_ago=found[1])

    @again_when_full
    def save(
        self,
        token: str,
        changes: Sequence[AnyChange],
        *,
        if_version: int | None = None,
        request_id: bytes | None = None,
    ) -> Record:
        """Apply changes to the record as it is now; see the contract."""
        token_hash = self._hash(token)
        steps = apply.prepare(changes)
        if if_version is not None:
            check_version(if_version)
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            draft, in_grace = self._draft(transaction, token_hash, now)
            if request_id is not None and self._is_repeat(draft, request_id):
                return self._record(transaction, draft)
            record = self._changed(draft, steps, if_version, now, request_id)
            record.in_grace = in_grace
        self.counters["save"] += 1
        return record

    @again_when_full
    def touch(self, token: str) -> Record:
        """Store that the session is in use; see the contract."""
        token_hash = self._hash(token)
        with self._write() as transaction:
            now = self._now()
            draft, in_grace = self._draft(transaction, token_hash, now)
            return self._touched(transaction, draft, in_grace=in_grace, now=now)

    @again_when_full
    def delete(self, token: str) -> bool:
        """End the session; see the contract."""
        environment = self._environment or self._join()
        token_hash = self._tokens.hash_of(token)
        if token_hash is None:
            self.counters["absent_forged"] += 1
            return False
        with self._write() as transaction:
            now = self._now()
            entry = token_table.get(transaction, environment.tables, token_hash)
            row = None
            if entry is not None and entry.leads(now):
                row = transaction.get(entry.sid, db=environment.tables.sessions)
            if entry is None or row is None:
                return False
            draft = self._open_draft(transaction, entry.sid, row)
            live = now < draft.deadline
            self._end(draft, DELETED if live else EXPIRED, now, "deleted" if live else "expired")
        return live
