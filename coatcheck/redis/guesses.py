"""The sessions seen last, by the hashes of their tokens: what a change supposes at first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from coatcheck.redis.rest import View

MOST: Final = 512
"""Sessions remembered in one process."""

MOST_BYTES: Final = 8 << 20
"""Bytes of them."""


class Guesses:
    """Safe for several threads. None of it is an answer: Redis has to confirm it."""

    def __init__(self) -> None:
        self._views: OrderedDict[bytes, tuple[View, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, token_hash: bytes | None) -> View | None:
        """What was seen last."""
        found = self._views.get(token_hash or b"")
        return None if found is None else found[0]

    def put(self, token_hash: bytes | None, view: View) -> None:
        """Remember what was seen; nothing, where there was no session."""
        if token_hash is None:
            return
        size = 0
        if view.session is not None:
            size = sum(map(len, view.session.fields.values())) + sum(map(len, view.session.flashes))
        # Never waited for: a fork may have taken it along locked, and who forgets a guess loses nothing.
        if not self._lock.acquire(blocking=False):
            return
        try:
            old = self._views.pop(token_hash, None)
            self._bytes -= 0 if old is None else old[1]
            if view.session is None:
                return
            self._views[token_hash] = View(view.row, view.session), size
            self._bytes += size
            while self._views and (len(self._views) > MOST or self._bytes > MOST_BYTES):
                self._bytes -= self._views.popitem(last=False)[1][1]
        finally:
            self._lock.release()

    def clear(self) -> None:
        """Forget all."""
        self._views = OrderedDict()
        self._bytes = 0
