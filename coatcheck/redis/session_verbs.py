"""Create, load, find, save, touch, delete."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.changes import PushFlash, Set
from coatcheck.errors import SessionConflict, SessionMissing, StoreUnavailable
from coatcheck.redis.base import Place
from coatcheck.redis.calls import Flow, Write, was_done
from coatcheck.redis.changing import Done, some_id
from coatcheck.redis.draft import RedisDraft
from coatcheck.redis.layout import TokenRow
from coatcheck.redis.principal_verbs import PrincipalVerbs
from coatcheck.redis.rest import View
from coatcheck.store import apply
from coatcheck.store.arguments import check_lifetimes, check_mapping, check_version
from coatcheck.store.contract import Found
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.meta import pack_meta
from coatcheck.store.record import Record
from coatcheck.store.tables import CURRENT, DELETED, EXPIRED, REVOKED

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes

_NOTHING = View()


class SessionVerbs(PrincipalVerbs):
    """The life of one session."""

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
    ) -> Flow[tuple[str, Record]]:
        """A new session; see the contract."""
        check_mapping("create", data)
        check_lifetimes(lifetimes)
        yield from self.opened()
        steps = apply.prepare(
            [*(Set(key, value) for key, value in (data or {}).items()), *(PushFlash(each) for each in flashes)]
        )
        binding = None if principal is None else self.binding(principal)
        packed_meta = pack_meta(meta)
        token = self.tokens.mint() if token is None else token
        place, sid, request = self.place_of(token), self.tokens.new_sid(token), some_id(request_id)
        assert place.token_hash is not None
        token_hash = place.token_hash
        chosen = lifetimes or (self.settings.anonymous if principal is None else self.settings.signed_in)

        def work(view: View, now: int, floor: int) -> Done:
            if view.row is not None:
                return self._created_before(view, now, request)
            draft = RedisDraft(sid, None)
            draft.flash_limit = self.policy.max_flashes
            draft.created = draft.started = draft.last_seen = now
            draft.idle, draft.absolute, draft.touch_interval = lifetimes_in_microseconds(chosen)
            draft.flags = OWN_LIFETIMES if lifetimes is not None else 0
            draft.token_hash = token_hash
            self.apply(draft, steps)
            draft.meta = packed_meta
            self.remember(draft, request, now)
            write = Write(self.look(place))
            write.guard("absent", self.layout.token(place.tag, token_hash))
            if binding is not None:
                self.bind(write, draft, binding, max(now, floor))
            row = TokenRow(sid, CURRENT, now, 0, draft.revision)
            return self.put(write, draft, now, "created")._replace(row=row)

        def made() -> Flow[Record]:
            record: Record = yield from self.change(place, work, _NOTHING)
            return record

        record = yield from (made() if binding is None else self.within_limit(binding, place, made))
        self.counters["create"] += 1
        return token, record

    def _created_before(self, view: View, now: int, request_id: bytes) -> Done:
        reason, _ = self.reason_of(view, now)
        if reason is not None or view.session is None or not self.is_repeat(self.draft_of(view.session), request_id):
            raise SessionConflict(None, None, "this token is in use, or has been: mint another")
        return Done(self.record_of(view))

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Flow[Record | None]:  # noqa: ARG002
        """The live session, or None; see the contract. Always as Redis has it."""
        found = yield from self.found(token, touch=touch)
        if found.record is not None:
            self.counters["load"] += 1
        return found.record

    def found(self, token: str, *, touch: bool = False) -> Flow[Found]:
        """The live session, or why there is none. A due ``touch`` is stored."""
        if self.hash_of(token) is None:
            return Found(reason="forged")
        yield from self.opened()
        place = self.place_of(token)
        view = yield from self.seen(place)
        now = self._now()
        reason, ago = self.reason_of(view, now)
        if reason is not None:
            self.counters[reason] += 1
            return Found(reason=reason, ended_ago=ago)
        record = self.record_of(view)
        if touch and now >= record.touch_due_at:
            return Found((yield from self._touch_if_free(place, view)) or record)
        return Found(record)

    def _touch_if_free(self, place: Place, view: View) -> Flow[Record | None]:
        """Store a due touch, unless somebody else writes or Redis takes no writes: the next request will do."""
        try:
            done = self._touched(place, view, self._now())
            if done.write is None:
                return None
            reply = yield done.write.call()
        except (StoreUnavailable, SessionMissing):
            return None
        if not was_done(reply):
            return None
        yield self.written(done, place, view, reply)
        record: Record = done.answer
        return record

    def _touched(self, place: Place, view: View, now: int) -> Done:
        draft = self.draft_of(self.live(view, now))
        if draft.last_seen <= now < draft.last_seen + draft.touch_interval:
            return Done(self.record_of(view))
        draft.last_seen = now
        self.counters["touch"] += 1
        return self._in_grace(view, self.put(self.writing(place, draft), draft, now, "touched"))

    @staticmethod
    def _in_grace(view: View, done: Done) -> Done:
        done.answer.in_grace = view.row is not None and view.row.state != CURRENT
        return done

    def find(self, token: str, *, fresh: bool = False) -> Flow[Found]:  # noqa: ARG002 - it always is
        """The live session, or why there is none; see the contract. Always as Redis has it."""
        return (yield from self.found(token))

    def save(
        self,
        token: str,
        changes: Sequence[AnyChange],
        *,
        if_version: int | None = None,
        request_id: bytes | None = None,
    ) -> Flow[Record]:
        """Apply changes to the record as it is now; see the contract."""
        place = self.place_of(token)
        steps = apply.prepare(changes)
        check_version(if_version)
        request = some_id(request_id)
        yield from self.opened()

        def work(view: View, now: int, _: int) -> Done:
            draft = self.draft_of(self.live(view, now))
            if self.is_repeat(draft, request):
                return Done(self.record_of(view))
            self.apply(draft, steps, if_version)
            return self._in_grace(view, self.stored(place, draft, now, request, "saved"))

        record: Record = yield from self.change(place, work)
        self.counters["save"] += 1
        return record

    def touch(self, token: str) -> Flow[Record]:
        """Store that the session is in use; see the contract."""
        place = self.place_of(token)
        yield from self.opened()
        record: Record = yield from self.change(place, lambda view, now, _: self._touched(place, view, now))
        return record

    def delete(self, token: str) -> Flow[bool]:
        """End the session; see the contract."""
        if self.hash_of(token) is None:
            return False
        place, request = self.place_of(token), secrets.token_bytes(16)
        yield from self.opened()

        def work(view: View, now: int, _: int) -> Done:
            row, session = view.row, view.session
            if row is not None and row.writer == request:
                return Done(row.state == DELETED)  # the answer to the first time was lost
            if row is None or not row.leads(now) or session is None:
                return Done(False)
            draft = self.draft_of(session)
            draft.revision = request
            state, kind = (EXPIRED, "expired") if now >= draft.deadline else (DELETED, "deleted")
            if session.is_revoked:
                state, kind = REVOKED, "revoked"
            # Whether a revocation has come before is for Redis to say.
            write = self.writing(place, draft, ends=state != DELETED)
            self.end(write, draft, state, now, kind)
            return Done(state == DELETED, write, draft=draft)

        live: bool = yield from self.change(place, work)
        return live
