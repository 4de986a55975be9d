"""Principals: whose sessions these are, how many one may have, and how to end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coatcheck.errors import CorruptRecord, PrincipalLimit
from coatcheck.store import token_table
from coatcheck.store.arguments import check_principal, sid_bytes
from coatcheck.store.draft import delete_chunks
from coatcheck.store.full import again_when_full
from coatcheck.store.lmdb_errors import NoPages
from coatcheck.store.sessions import Sessions
from coatcheck.store.tables import EXPIRED, MEMBER, REVOKED, Tables, Transaction

if TYPE_CHECKING:
    from coatcheck.store.contract import SessionInfo
    from coatcheck.store.draft import Draft


_META = "meta"
_FEW = 8


class Binding(NamedTuple):
    """A principal and where its sessions are listed: one hash for each server secret, newest first."""

    principal: str
    hashes: list[bytes]


class PrincipalVerbs(Sessions):
    """``sessions_of``, ``revoke`` and ``revoke_sid``, and the binding that create and login do."""

    def sessions_of(self, principal: str) -> list[SessionInfo]:
        """The live sessions of a principal; see the contract."""
        binding = self._binding(principal)
        now = self._now()
        with self._read() as transaction:
            tables = self._tables
            rows = [
                (sid, transaction.get(sid, db=tables.sessions)) for _, sid in _members(transaction, tables, binding)
            ]
        listed = [self._listed(sid, row, now) for sid, row in rows if row is not None]
        return [info for info in listed if info is not None]

    def revoke(self, principal: str, *, except_: str | None = None) -> int:
        """End the sessions of a principal; see the contract."""
        binding = self._binding(principal)
        kept_hash = None if except_ is None else self._hash(except_)
        try:
            return self._revoke(binding, kept_hash)
        except NoPages:
            # Too many for the pages that are left: a few at a time, each freeing some.
            ended = 0
            while some := self._revoke_few(binding, kept_hash):
                ended += some
            return ended

    @again_when_full
    def _revoke_few(self, binding: Binding, kept_hash: bytes | None) -> int:
        return self._revoke(binding, kept_hash, _FEW)

    def _revoke(self, binding: Binding, kept_hash: bytes | None, most: int | None = None) -> int:
        ended = 0
        with self._write() as transaction:
            now = self._now()
            tables = self._tables
            entry = None if kept_hash is None else token_table.get(transaction, tables, kept_hash)
            kept = entry.sid if entry is not None and entry.leads(now) else None
            for created, sid in _members(transaction, tables, binding):
                row = transaction.get(sid, db=tables.sessions)
                if sid != kept and row is not None:
                    try:
                        ended += self._end_live(self._open_draft(transaction, sid, row), now, "revoked")
                    except CorruptRecord:
                        self._end_damaged(transaction, binding, created, sid)
                        ended += 1
                    if ended == most:
                        break
        return ended

    def _end_damaged(self, transaction: Transaction, binding: Binding, created: int, sid: bytes) -> None:
        """End what cannot be read, without which the others of the principal would go on. Its tokens lead nowhere."""
        tables = self._tables
        transaction.delete(sid, db=tables.sessions)
        delete_chunks(transaction, tables, sid)
        for principal_hash in binding.hashes:
            transaction.delete(principal_hash, MEMBER.pack(created, sid), db=tables.principals)
        self._tell_damaged(transaction, sid)

    @again_when_full
    def revoke_sid(self, sid: str) -> bool:
        """End the session with this sid; see the contract."""
        identity = sid_bytes(sid)
        with self._write() as transaction:
            row = transaction.get(identity, db=self._tables.sessions)
            return row is not None and self._end_live(
                self._open_draft(transaction, identity, row), self._now(), "revoked"
            )

    def _end_live(self, draft: Draft, now: int, kind: str) -> bool:
        """End a session as revoked, or as expired if it was; whether it was live."""
        live = now < draft.deadline
        self._end(draft, REVOKED if live else EXPIRED, now, kind if live else "expired")
        return live

    # Binding ---------------------------------------------------------------------------------------------------

    def _binding(self, principal: str) -> Binding:
        return Binding(check_principal(principal), self.keyring.principal_hashes(principal))

    def _bind(self, draft: Draft, binding: Binding, now: int) -> None:
        """Bind a session, after making room for it. Raises PrincipalLimit."""
        self._make_room(draft, binding, now)
        self._unlist(draft)
        draft.bind(binding.principal, binding.hashes[0])
        self._list(draft)

    def _refile_principal(self, draft: Draft) -> None:
        """List a session under the newest secret, like its token."""
        principal = draft.principal
        if principal is None:
            return
        newest = self.keyring.principal_hashes(principal)[0]
        if draft.variable.principal_hash != newest:
            self._unlist(draft)
            draft.variable = draft.variable._replace(principal_hash=newest)
            self._list(draft)

    def _make_room(self, draft: Draft, binding: Binding, now: int) -> None:
        policy = self._here.policy
        limit = policy.max_sessions_per_principal
        if not limit:
            return
        transaction, tables = draft.transaction, draft.tables
        live = []
        for created, sid in _members(transaction, tables, binding):
            row = transaction.get(sid, db=tables.sessions)
            if row is None or sid == draft.sid:
                continue
            try:
                other = self._open_draft(transaction, sid, row)
                other.variable  # noqa: B018 - it is needed to end it
            except CorruptRecord:
                continue  # that is no reason to keep somebody from signing in
            if now < other.deadline:
                live.append((created, other))
            else:
                self._end(other, EXPIRED, now, "expired")
        if len(live) < limit:
            return
        if policy.on_principal_limit == "refuse":
            self._limit_refused("max_sessions_per_principal", binding.principal)
            raise PrincipalLimit(limit)
        live.sort(key=lambda each: each[0])
        for _, other in live[: len(live) - limit + 1]:
            self._end(other, REVOKED, now, "evicted")

    @staticmethod
    def _list(draft: Draft) -> None:
        row = MEMBER.pack(draft.created, draft.sid)
        draft.transaction.put(draft.variable.principal_hash or b"", row, db=draft.tables.principals)

    @staticmethod
    def _unlist(draft: Draft) -> None:
        if draft.variable.principal_hash:
            row = MEMBER.pack(draft.created, draft.sid)
            draft.transaction.delete(draft.variable.principal_hash, row, db=draft.tables.principals)

    # Meta ------------------------------------------------------------------------------------------------------


def _members(transaction: Transaction, tables: Tables, binding: Binding) -> list[tuple[int, bytes]]:
    """When created, and sid, of all sessions listed for a principal, oldest first."""
    members = []
    with transaction.cursor(db=tables.principals) as cursor:
        for principal_hash in binding.hashes:
            if cursor.set_key(principal_hash):
                members += [MEMBER.unpack(value) for value in cursor.iternext_dup()]
    return sorted(members)
