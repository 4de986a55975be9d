"""What both stores with copies in front have in common: the answers that a host has by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coatcheck.redis.shared.absent import Absences
from coatcheck.redis.shared.guessing import LocalGuesses
from coatcheck.store.contract import Found

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.redis.shared.copies import Copies
    from coatcheck.redis.verbs import Verbs
    from coatcheck.settings import Settings
    from coatcheck.store.record import Record


class CachedBase:
    """Copies, and what is known of tokens without a session."""

    def __init__(self, local: Copies, verbs: Verbs) -> None:
        """``local``: the copies of this host; ``verbs``: those of the store in Redis."""
        self.local, self.verbs = local, verbs
        self.settings: Settings = verbs.settings
        self.clock: Clock = verbs.clock
        verbs.guesses = LocalGuesses(local)
        self.counters = local.counters = verbs.counters
        self._now = self.clock.now
        self._absences = Absences(local.pulse)

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        return self.verbs.mint(like)

    def find_copy(self, token: str) -> Record | None:
        """What is kept of a session, however old, for whoever has to do with that while Redis cannot be asked.

        None where nothing is known, or where its end is. Raises StoreUnavailable.
        """
        token_hash = self.verbs.hash_of(token)
        return None if token_hash is None else self.local.near(token_hash, self._now()).record

    def note_refused(self, reason: str, peer: str | None) -> None:
        """Count a refused token of a peer; at most one audit event of this host per peer and minute."""
        self.local.note_refused(reason, peer)

    def _near(self, token: str, token_hash: bytes) -> Found | None:
        """The answer that this host has; None where Redis has to be asked."""
        now, counters = self._now(), self.counters
        near = self.local.near(token_hash, now)
        if near.is_sure:
            counters["hit"] += 1
            if near.record is None:
                counters[near.reason or "unknown"] += 1
            return Found(near.record, near.reason, near.ended_ago)
        if near.record is None:
            absent = self._absences.get(token_hash, self.verbs.tokens.tag_of(token), now)
            if absent is not None:
                counters["negative_hit"] += 1
                counters[absent.reason or "unknown"] += 1
                return absent
        return None

    def _asked(self, token_hash: bytes, found: Found, news: int) -> Found:
        """Remember what Redis has answered."""
        self.counters["fetch"] += 1
        if found.record is None:
            self._absences.put(token_hash, found, self._now(), news)
        else:
            self._absences.forget(token_hash)
        return found

    def _news(self, token: str) -> int:
        return self._absences.news(self.verbs.tokens.tag_of(token))

    def is_due(self, record: Record, *, touch: bool) -> bool:
        """Whether this use is to be stored."""
        return touch and self._now() >= record.touch_due_at

    def describe(self) -> dict[str, Any]:
        """What is to be told of the copies: how old they may be, and how they were used by this process."""
        age = self.local.pulse.age() / 1e6
        names = ("hit", "fetch", "negative_hit", "replayed", "kept", "overtaken", "not_kept")
        return {"heard_ago": round(age, 3), **{name: self.counters[name] for name in names}}
