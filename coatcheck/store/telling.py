"""Telling the audit: what happens to sessions, what operators do, which limits were hit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coatcheck.acting import acting, operator
from coatcheck.errors import CoatcheckError
from coatcheck.store import audit, encryption
from coatcheck.store.arguments import sid_bytes
from coatcheck.store.base import StoreBase
from coatcheck.store.full import again_when_full
from coatcheck.store.sealed_record import seal_principal

if TYPE_CHECKING:
    from coatcheck.store.draft import Draft
    from coatcheck.store.tables import Tables, Transaction

_log = logging.getLogger("coatcheck.store")


class Telling(StoreBase):
    """Events, each in the transaction that does what it tells of."""

    @again_when_full
    def note_action(self, kind: str, *, sid: str = "", principal: str | None = None, **detail: Any) -> None:
        """Write an audit event of what an operator did, with who it was (:func:`coatcheck.acting_as`).

        ``kind`` is a verb in the past tense; ``detail`` holds numbers and names, never a token or session data. What
        the store itself does writes its events by itself.
        """
        identity = sid_bytes(sid) if sid else b""
        with self._write() as transaction:
            self._tell_action(transaction, self._tables, kind, detail, identity, principal)

    def _note_done(self, kind: str, **detail: Any) -> None:
        """The same for what is done already, and would not be undone by an error."""
        try:
            self.note_action(kind, **detail)
        except CoatcheckError as error:
            _log.warning("%s, but there is no audit event of it: %s", kind, error)

    def _tell_action(
        self,
        transaction: Transaction,
        tables: Tables,
        kind: str,
        detail: Mapping[str, Any],
        sid: bytes = b"",
        principal: str | None = None,
    ) -> None:
        sealing = self._sealing
        ids = encryption.noted(transaction, tables)
        if sealing is None or sealing.newest not in ids:
            # A command may have opened an encrypted store without its keys: then it names nobody's user.
            name: str | bytes | None = None if ids else principal
            told: Mapping[str, Any] | bytes = {"by": operator(), **detail}
        else:
            name = None if principal is None else seal_principal(sealing.session(sid), principal)
            told = audit.sealed_detail({"by": operator(), **detail}, sealing)
        audit.note(transaction, tables, self._now(), kind, sid, name, ring=audit.LIFE, detail=told)

    def _tell(self, draft: Draft, now: int, kind: str) -> None:
        """Of a session; with who acts on it, where that is somebody else."""
        principal, ring, detail = draft.variable.principal, *self._acting()
        audit.note(draft.transaction, draft.tables, now, kind, draft.sid, principal, ring=ring, detail=detail)

    def _tell_damaged(self, transaction: Transaction, sid: bytes) -> None:
        """Of a session that was ended and cannot be read."""
        _, detail = self._acting()
        audit.note(transaction, self._tables, self._now(), "revoked", sid, ring=audit.LIFE, detail=detail)
        self.counters["revoked"] += 1

    def _acting(self) -> tuple[bytes | None, Mapping[str, Any] | bytes | None]:
        by = acting()
        return (None, None) if by is None else (audit.LIFE, audit.sealed_detail({"by": by}, self._sealing))

    # Limits: counted in memory, told once a minute; the transaction that hits one may write nothing -------------

    def _limit_hit(self, limit: str, draft: Draft | None = None, count: int = 1) -> None:
        self.counters[f"limit_{limit}"] += count
        sid, principal = (b"", None) if draft is None else (draft.sid, draft.variable.principal)
        self._here.upkeep.refusals.note_limit(limit, sid, principal, count)

    def _limit_refused(self, limit: str, principal: str) -> None:
        self.counters[f"limit_{limit}"] += 1
        sealing = self._sealing
        kept = principal if sealing is None else seal_principal(sealing.session(b""), principal)
        self._here.upkeep.refusals.note_limit_of(principal, limit, kept)
