"""Rotation and login: another token for the same session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coatcheck.errors import BadToken, SessionConflict, SessionMissing
from coatcheck.store import apply, token_table
from coatcheck.store.arguments import check_lifetimes, check_version
from coatcheck.store.full import again_when_full
from coatcheck.store.meta import merged_meta, pack_meta
from coatcheck.store.principal_verbs import PrincipalVerbs
from coatcheck.store.succession import Buried, begin_term, checked_grace, end_graces, forget_another, succeed
from coatcheck.store.tables import Transaction

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.draft import Draft
    from coatcheck.store.record import Record


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
        grace_kept = checked_grace(grace)
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
            self._replace_token(draft, new_hash, now, grace_kept)
            self._tell(draft, now, "rotated")
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
        pack_meta(meta)
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            repeated = self._rotated_before(transaction, token_hash, new_hash, now)
            if repeated is not None:
                return new_token, repeated
            draft, _ = self._draft(transaction, token_hash, now)
            forget_another(draft, principal)
            self._apply(draft, steps, if_version)
            self._bind(draft, binding, now)
            self._replace_token(draft, new_hash, now, 0)
            self._bury(draft, end_graces(draft, now), now)
            if meta:
                draft.meta = merged_meta(draft.meta, meta)
            begin_term(draft, now, lifetimes, self.settings.signed_in)
            self._tell(draft, now, "login")
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
        self._bury(draft, succeed(draft, new_hash, now, grace), now)
        token_table.put_current(draft.transaction, draft.tables, new_hash, draft.sid, now)
        self._refile_principal(draft)

    @staticmethod
    def _bury(draft: Draft, tokens: list[Buried], now: int) -> None:
        for token_hash, state, since in tokens:
            token_table.bury(
                draft.transaction, draft.tables, token_hash, draft.sid, state, since, now + token_table.ENDED_KEPT
            )
