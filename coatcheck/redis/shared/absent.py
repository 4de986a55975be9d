"""Tokens that Redis did not know a moment ago, so that it is not asked again and again for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.store.contract import Found

if TYPE_CHECKING:
    from coatcheck.redis.shared.pulse import Pulse

KEPT_FOR: Final = SECOND
"""How long, in microseconds."""

MOST: Final = 4096
"""Tokens remembered in one process."""


class Absences:
    """Why there was no session, by the hash of the token. Whatever is heard of new tokens overrules it.

    Without a lock, which a fork might take along: what gets lost is asked again.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._known: dict[bytes, tuple[Found, int, int]] = {}

    def news(self, tag: int) -> int:
        """To be taken before Redis is asked, and given to ``put``."""
        return self._pulse.news(tag)

    def get(self, token_hash: bytes, tag: int, now: int) -> Found | None:
        """Why there is no session, where that was asked a moment ago."""
        known = self._known.get(token_hash)
        if known is None:
            return None
        found, at, news = known
        if not (at <= now < at + KEPT_FOR and self._pulse.is_heard(tag) and news == self._pulse.news(tag)):
            self._known.pop(token_hash, None)
            return None
        ago = found.ended_ago
        return found if ago is None else found._replace(ended_ago=ago + (now - at) / 1e6)

    def put(self, token_hash: bytes, found: Found, now: int, news: int) -> None:
        """Remember why there is none."""
        if len(self._known) >= MOST:
            self._known = {}
        self._known[token_hash] = found, now, news

    def forget(self, token_hash: bytes) -> None:
        """There is one now."""
        self._known.pop(token_hash, None)
