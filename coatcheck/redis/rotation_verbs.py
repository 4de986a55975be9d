"""Rotation and login: another token for the same session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.clock import microseconds
from coatcheck.errors import BadToken, SessionConflict
from coatcheck.redis.base import Place
from coatcheck.redis.calls import Flow, Write
from coatcheck.redis.changing import Done, some_id
from coatcheck.redis.layout import TokenRow
from coatcheck.redis.principal_verbs import PrincipalVerbs, merged_meta, pack_meta
from coatcheck.redis.rest import View
from coatcheck.store import apply, token_table
from coatcheck.store.arguments import check_grace, check_lifetimes, check_version
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.record import Record
from coatcheck.store.rotation import MOST_GRACES
from coatcheck.store.tables import CURRENT, GRACE, RETIRED

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
        check_grace(grace)
        if not 0 <= grace <= token_table.ENDED_KEPT / 1e6:
            msg = f"grace is {grace!r}: use seconds from 0 to {token_table.ENDED_KEPT // 1_000_000}"
            raise ValueError(msg)
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
            self._replace_token(write, place, draft, now, microseconds(grace))
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
            if draft.principal not in (None, principal):
                # Another user on the same browser: nothing of the one before may be seen.
                draft.clear()
                draft.replace_flashes([])
                draft.keep_takes([])
                draft.meta = b""
            self.apply(draft, steps, if_version)
            write = self.writing(place, draft)
            self.bind(write, draft, binding, max(now, floor))
            self._replace_token(write, place, draft, now, 0)
            self._end_graces(write, draft, now)
            if meta:
                draft.meta = merged_meta(draft.meta, meta)
            draft.started = now
            if lifetimes is not None:
                draft.flags |= OWN_LIFETIMES
            if lifetimes is not None or not draft.flags & OWN_LIFETIMES:
                chosen = lifetimes or self.settings.signed_in
                draft.idle, draft.absolute, draft.touch_interval = lifetimes_in_microseconds(chosen)
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
        old_hash, kept = draft.token_hash, now + token_table.ENDED_KEPT
        graces = [each for each in draft.variable.graces if now < each[1]]
        for token_hash, until in draft.variable.graces:
            # A clock that is set back must not bring a grace back that no login would know of.
            if until <= now:
                self.bury(write, draft, token_hash, RETIRED, now, kept)
        if grace:
            self.bury(write, draft, old_hash, GRACE, now + grace, kept)
            graces.append([old_hash, now + grace])
            for token_hash, _ in graces[:-MOST_GRACES]:
                self.bury(write, draft, token_hash, RETIRED, now, kept)
            del graces[:-MOST_GRACES]
        else:
            self.bury(write, draft, old_hash, RETIRED, now, kept)
        draft.variable = draft.variable._replace(graces=graces)
        draft.token_hash = place.other
        if draft.principal is not None:
            # Listed under the newest secret, like its token.
            newest = self.keyring.principal_hashes(draft.principal)[0]
            draft.variable = draft.variable._replace(principal_hash=newest)

    def _end_graces(self, write: Write, draft: RedisDraft, now: int) -> None:
        """Otherwise a token planted before the login would be a token of the user after it."""
        for token_hash, _ in draft.variable.graces:
            self.bury(write, draft, token_hash, RETIRED, now, now + token_table.ENDED_KEPT)
        draft.variable = draft.variable._replace(graces=[])

    def _rotated(
        self, write: Write, place: Place, token: str, draft: RedisDraft, now: int, request_id: bytes, kind: str
    ) -> Done:
        draft.last_seen = now
        self.remember(draft, request_id, now)
        done = self.put(write, draft, now, kind)
        row = TokenRow(draft.sid, CURRENT, now, 0, draft.revision)
        return done._replace(answer=(token, done.answer), place=Place(place.tag, place.other), row=row)
