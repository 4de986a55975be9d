"""Rotation and login: another token for the same session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.errors import BadToken, SessionConflict
from coatcheck.redis.base import Place
from coatcheck.redis.calls import Flow, Write
from coatcheck.redis.changing import Done, some_id
from coatcheck.redis.layout import TokenRow
from coatcheck.redis.principal_verbs import PrincipalVerbs
from coatcheck.redis.rest import View
from coatcheck.store import apply, token_table
from coatcheck.store.arguments import check_lifetimes, check_version
from coatcheck.store.meta import merged_meta, pack_meta
from coatcheck.store.record import Record
from coatcheck.store.succession import Buried, begin_term, checked_grace, end_graces, forget_another, succeed
from coatcheck.store.tables import CURRENT, GRACE

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.redis.draft import RedisDraft


class RotationVerbs(PrincipalVerbs):
    """``rotate`` and ``login``."""

    def rotate(
        self,
        token: str,
        *,
        grace: float = 0.0,
        changes: Sequence[AnyChange] = (),
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> Flow[tuple[str | None, Record]]:
        """A new token for the same session; see the contract."""
        grace_kept = checked_grace(grace)
        place, next_token = self._successor(token, new_token)
        steps = apply.prepare(changes, "rotate")
        check_version(if_version)
        request = some_id(request_id)
        yield from self.opened()

        def work(view: View, now: int, _: int) -> Done:
            if view.other is not None:
                return Done((next_token, self._rotated_before(place, view, now)))
            draft = self.draft_of(self.live(view, now))
            assert view.row is not None
            if view.row.state == GRACE:
                # The renewal has happened; this is a request that set out before it.
                if self.is_repeat(draft, request):
                    return Done((None, self.record_of(view)))
                self.apply(draft, steps, if_version)
                done = self.stored(place, draft, now, request, "saved")
                done.answer.in_grace = True
                return done._replace(answer=(None, done.answer))
            self.apply(draft, steps, if_version)
            write = self.writing(place, draft)
            self._replace_token(write, place, draft, now, grace_kept)
            return self._rotated(write, place, next_token, draft, now, request, "rotated")

        rotated: tuple[str | None, Record] = yield from self.change(place, work)
        self.counters["rotate"] += 1
        return rotated

    def login(
        self,
        token: str,
        principal: str,
        *,
        changes: Sequence[AnyChange] = (),
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> Flow[tuple[str, Record]]:
        """Rotate and bind to a principal; see the contract."""
        binding = self.binding(principal)
        place, next_token = self._successor(token, new_token)
        steps = apply.prepare(changes, "login")
        check_lifetimes(lifetimes)
        check_version(if_version)
        pack_meta(meta)
        request = some_id(request_id)
        yield from self.opened()

        def work(view: View, now: int, floor: int) -> Done:
            if view.other is not None:
                return Done((next_token, self._rotated_before(place, view, now)))
            draft = self.draft_of(self.live(view, now))
            forget_another(draft, principal)
            self.apply(draft, steps, if_version)
            write = self.writing(place, draft)
            self.bind(write, draft, binding, max(now, floor))
            self._replace_token(write, place, draft, now, 0)
            self._bury_all(write, draft, end_graces(draft, now), now)
            if meta:
                draft.meta = merged_meta(draft.meta, meta)
            begin_term(draft, now, lifetimes, self.settings.signed_in)
            return self._rotated(write, place, next_token, draft, now, request, "login")

        def bound() -> Flow[Record]:
            answer: tuple[str, Record] = yield from self.change(place, work)
            return answer[1]

        record = yield from self.within_limit(binding, place, bound)
        self.counters["login"] += 1
        return next_token, record

    def _successor(self, token: str, new_token: str | None) -> tuple[Place, str]:
        """Where the session of the token is, with the next token to look for. Raises BadToken."""
        place = self.place_of(token)
        next_token = self.tokens.mint(like=token) if new_token is None else new_token
        new_place = self.place_of(next_token)
        if new_place.tag != place.tag:
            raise BadToken
        return place._replace(other=new_place.token_hash), next_token

    def _rotated_before(self, place: Place, view: View, now: int) -> Record:
        """The record, when this very rotation was done already: its client asks again for lack of an answer."""
        old, new = view.row, view.other
        assert new is not None
        if old is None or old.sid != new.sid or place.token_hash == place.other:
            raise SessionConflict(None, None, "the new token is in use, or has been: mint another")
        if not new.leads(now):
            self.miss(token_table.REASONS[new.state])
        now_at = View(new, view.session)
        self.live(now_at, now)
        return self.record_of(now_at)

    def _replace_token(self, write: Write, place: Place, draft: RedisDraft, now: int, grace: int) -> None:
        assert place.other is not None
        write.guard("absent", self.layout.token(draft.tag, place.other))
        self._bury_all(write, draft, succeed(draft, place.other, now, grace), now)
        if draft.principal is not None:
            # Listed under the newest secret, like its token.
            newest = self.keyring.principal_hashes(draft.principal)[0]
            draft.variable = draft.variable._replace(principal_hash=newest)

    def _bury_all(self, write: Write, draft: RedisDraft, tokens: list[Buried], now: int) -> None:
        for token_hash, state, since in tokens:
            self.bury(write, draft, token_hash, state, since, now + token_table.ENDED_KEPT)

    def _rotated(
        self, write: Write, place: Place, token: str, draft: RedisDraft, now: int, request_id: bytes, kind: str
    ) -> Done:
        draft.last_seen = now
        self.remember(draft, request_id, now)
        done = self.put(write, draft, now, kind)
        row = TokenRow(draft.sid, CURRENT, now, 0, draft.revision)
        return done._replace(answer=(token, done.answer), place=Place(place.tag, place.other), row=row)
