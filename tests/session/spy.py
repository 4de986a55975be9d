"""A store that is watched."""

from __future__ import annotations

from collections import Counter
from typing import Any

from coatcheck import RequestTimeout, StoreUnavailable
from coatcheck.store.lmdb import LmdbStore

WRITES = ("create", "save", "touch", "rotate", "login", "delete", "add_flash", "take_flashes", "restore_flashes")


class Spy:
    """A store that counts the verbs it passes on, and can be out of reach, or answer too late."""

    def __init__(self, store: LmdbStore) -> None:
        self.store = store
        self.calls: Counter[str] = Counter()
        self.away = self.late = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.store, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            if self.away:
                msg = "the store is away"
                raise StoreUnavailable(msg)
            answer = verb(*arguments, **options)
            if self.late:
                msg = "it was done, but nobody waits any more"
                raise RequestTimeout(msg)
            return answer

        return call

    @property
    def writes(self) -> int:
        """How many calls were to verbs that write."""
        return sum(self.calls[name] for name in WRITES)
