"""Rotation and login: another token for the same session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from coatcheck.clock import microseconds
from coatcheck.errors import BadToken, SessionConflict, SessionMissing
from coatcheck.store import apply, audit, token_table
from coatcheck.store.arguments import check_grace, check_lifetimes, check_version
from coatcheck.store.full import again_when_full
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.principal_verbs import PrincipalVerbs
from coatcheck.store.tables import GRACE, RETIRED, Transaction

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.draft import Draft
    from coatcheck.store.record import Record


MOST_GRACES: Final = 8
"""Tokens in grace that one session may have; a further rotation ends the oldest."""


class RotationVerbs(PrincipalVerbs):
    """``rotate`` and ``login``."""

    @again_when_full
    def rotate(
        self,
        token: str,
        *,
        grace: float = 0.0,
        changes: Sequence[AnyChange] = (),
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str | None, Record]:
        """A new token for the same session; see the contract."""
        check_grace(grace)
        if not 0 <= grace <= token_table.ENDED_KEPT / 1e6:
            msg = f"grace is {grace!r}: use seconds from 0 to {token_table.ENDED_KEPT // 1_000_000}"
            raise ValueError(msg)
        token_hash, new_token, new_hash = self._successor(token, new_token)
        steps = apply.prepare(changes, "rotate")
        check_version(if_version)
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            repeated = self._rotated_before(transaction, token_hash, new_hash, now)
            if repeated is not None:
                return new_token, repeated
            draft, in_grace = self._draft(transaction, token_hash, now)
            if in_grace:
                # The renewal has happened; this is a request that set out before it.
                if self._is_repeat(draft, request_id):
                    steps = []
                record = self._changed(draft, steps, if_version, now, request_id)
                record.in_grace = True
                return None, record
            self._apply(draft, steps, if_version)
            self._replace_token(draft, new_hash, now, microseconds(grace))
            audit.note(transaction, draft.tables, now, "rotated", draft.sid, draft.variable.principal)
            record = self._stored(draft, now, request_id)
        self.counters["rotate"] += 1
        return new_token, record

    @again_when_full
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
    ) -> tuple[str, Record]:
        """Rotate and bind to a principal; see the contract."""
        binding = self._binding(principal)
        token_hash, new_token, new_hash = self._successor(token, new_token)
        steps = apply.prepare(changes, "login")
        check_lifetimes(lifetimes)
        check_version(if_version)
        self._pack_meta(meta)
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            repeated = self._rotated_before(transaction, token_hash, new_hash, now)
            if repeated is not None:
                return new_token, repeated
            draft, _ = self._draft(transaction, token_hash, now)
            if draft.principal not in (None, principal):
                # Another user on the same browser: nothing of the one before may be seen.
                draft.clear()
                draft.replace_flashes([])
                draft.keep_takes([])
                draft.meta = b""
            self._apply(draft, steps, if_version)
            self._bind(draft, binding, now)
            self._replace_token(draft, new_hash, now, 0)
            self._end_graces(draft, now)
            if meta:
                draft.meta = self._merged_meta(draft.meta, meta)
            draft.started = now
            if lifetimes is not None:
                draft.flags |= OWN_LIFETIMES
            if lifetimes is not None or not draft.flags & OWN_LIFETIMES:
                chosen = lifetimes or self.settings.signed_in
                draft.idle, draft.absolute, draft.touch_interval = lifetimes_in_microseconds(chosen)
            audit.note(transaction, draft.tables, now, "login", draft.sid, draft.variable.principal)
            record = self._stored(draft, now, request_id)
        self.counters["login"] += 1
        return new_token, record

    def _successor(self, token: str, new_token: str | None) -> tuple[bytes, str, bytes]:
        """The hash of the token, and the next token with its hash. Raises BadToken."""
        token_hash = self._hash(token)
        new_token = self._tokens.mint(like=token) if new_token is None else new_token
        new_hash = self._tokens.hash_of(new_token)
        if new_hash is None or self._tokens.tag_of(new_token) != self._tokens.tag_of(token):
            raise BadToken
        return token_hash, new_token, new_hash

    def _rotated_before(self, transaction: Transaction, token_hash: bytes, new_hash: bytes, now: int) -> Record | None:
        """The record, when this very rotation was done already: its client asks again for lack of an answer."""
        tables = self._tables
        new = token_table.get(transaction, tables, new_hash)
        if new is None:
            return None
        old = token_table.get(transaction, tables, token_hash)
        if old is None or old.sid != new.sid or token_hash == new_hash:
            raise SessionConflict(None, None, "the new token is in use, or has been: mint another")
        if not new.leads(now):
            raise SessionMissing(token_table.REASONS[new.state])
        draft, in_grace = self._draft(transaction, new_hash, now)
        record = self._record(transaction, draft)
        record.in_grace = in_grace
        return record

    def _replace_token(self, draft: Draft, new_hash: bytes, now: int, grace: int) -> None:
        transaction, tables, old_hash = draft.transaction, draft.tables, draft.token_hash
        kept = now + token_table.ENDED_KEPT
        graces = [each for each in draft.variable.graces if now < each[1]]
        for token_hash, until in draft.variable.graces:
            # A clock that is set back must not bring a grace back that no login would know of.
            if until <= now:
                token_table.bury(transaction, tables, token_hash, draft.sid, RETIRED, now, kept)
        if grace:
            token_table.bury(transaction, tables, old_hash, draft.sid, GRACE, now + grace, kept)
            graces.append([old_hash, now + grace])
            for token_hash, _ in graces[:-MOST_GRACES]:
                token_table.bury(transaction, tables, token_hash, draft.sid, RETIRED, now, kept)
            del graces[:-MOST_GRACES]
        else:
            token_table.bury(transaction, tables, old_hash, draft.sid, RETIRED, now, kept)
        draft.variable = draft.variable._replace(graces=graces)
        draft.token_hash = new_hash
        token_table.put_current(transaction, tables, new_hash, draft.sid, now)
        self._refile_principal(draft)

    def _end_graces(self, draft: Draft, now: int) -> None:
        """Otherwise a token planted before the login would be a token of the user after it."""
        for token_hash, _ in draft.variable.graces:
            token_table.bury(
                draft.transaction, draft.tables, token_hash, draft.sid, RETIRED, now, now + token_table.ENDED_KEPT
            )
        draft.variable = draft.variable._replace(graces=[])
