"""An old store in this process, which does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coatcheck.adopt import LegacySession, Source


class MemorySource(Source):
    """Holds sessions in a dict; can be away, and calls back at its moments."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]] | None = None, **options: Any) -> None:
        super().__init__(**{"name": "memory", "cookie_name": "session", "principal_key": "user", **options})
        self.rows = {key: dict(value) for key, value in (rows or {}).items()}
        self.expires_at: float | None = None
        self.away = False
        self.reads: list[str] = []
        self.after_read: Callable[[], object] | None = None
        self.fails_to_remove = False

    def read(self, legacy_id: str) -> LegacySession | None:
        """The row."""
        self.reads.append(legacy_id)
        if self.away:
            msg = "redis://:secret@host cannot be reached"
            raise ConnectionError(msg)
        row = self.rows.get(legacy_id)
        if self.after_read is not None:
            then, self.after_read = self.after_read, None
            then()
        return None if row is None else self.session_of(row, self.expires_at)

    def remove(self, legacy_id: str) -> bool:
        """Pop it."""
        if self.fails_to_remove:
            msg = "redis://:secret@host cannot be reached"
            raise ConnectionError(msg)
        return self.rows.pop(legacy_id, None) is not None
