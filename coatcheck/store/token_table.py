"""The table of tokens: which session a token hash leads to, and why it does not any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck.clock import SECOND
from coatcheck.store.tables import (
    CURRENT,
    DELETED,
    EXPIRED,
    EXPIRY,
    GRACE,
    RETIRED,
    REVOKED,
    TOKEN,
    TOKEN_DUE,
    Tables,
    Transaction,
)

if TYPE_CHECKING:
    from coatcheck.store.contract import Reason

ENDED_KEPT: Final = 24 * 3600 * SECOND
"""How long a retired, deleted or revoked token is remembered, in microseconds."""

EXPIRED_KEPT: Final = 3600 * SECOND
"""How long the token of a swept session is remembered, in microseconds."""

REASONS: Final[dict[int, Reason]] = {
    CURRENT: "expired",
    GRACE: "retired",
    RETIRED: "retired",
    DELETED: "deleted",
    REVOKED: "revoked",
    EXPIRED: "expired",
}
"""What the state of a token says when no live session is behind it."""


class TokenRow(NamedTuple):
    """What is known of a token."""

    sid: bytes
    state: int
    since: int
    kept: int

    def leads(self, now: int) -> bool:
        """Whether it reaches the session."""
        return self.state == CURRENT or (self.state == GRACE and now < self.since)


def get(transaction: Transaction, tables: Tables, token_hash: bytes) -> TokenRow | None:
    """The row of a token, or None."""
    packed = transaction.get(token_hash, db=tables.tokens)
    return None if packed is None else TokenRow._make(TOKEN.unpack(packed))


def put_current(transaction: Transaction, tables: Tables, token_hash: bytes, sid: bytes, now: int) -> None:
    """Make it the token of the session."""
    transaction.put(token_hash, TOKEN.pack(sid, CURRENT, now, 0), db=tables.tokens)


def bury(
    transaction: Transaction, tables: Tables, token_hash: bytes, sid: bytes, state: int, since: int, kept: int
) -> None:
    """Put a token out of use, or into its grace, and remember it until ``kept``; a longer memory stays."""
    old = get(transaction, tables, token_hash)
    if old is not None and old.kept:
        if old.kept >= kept:
            kept = old.kept
        else:
            transaction.delete(EXPIRY.pack(old.kept, TOKEN_DUE, token_hash), db=tables.expiry)
    transaction.put(token_hash, TOKEN.pack(sid, state, since, kept), db=tables.tokens)
    transaction.put(EXPIRY.pack(kept, TOKEN_DUE, token_hash), b"", db=tables.expiry)
