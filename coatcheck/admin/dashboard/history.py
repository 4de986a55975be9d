"""What charts are drawn from: one sample every two seconds, kept for twenty minutes, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

EVERY: Final = 2.0
"""Seconds between two samples."""

KEPT: Final = 600
"""Samples: twenty minutes."""


class History:
    """Rows of the same names, by time. A name that a row does not have was not known then."""

    def __init__(self, kept: int = KEPT) -> None:
        self._moments: deque[float] = deque(maxlen=kept)
        self._rows: deque[Mapping[str, float]] = deque(maxlen=kept)

    def add(self, at: float, row: Mapping[str, float]) -> None:
        """Note what was at a moment (seconds UTC)."""
        if self._moments and at <= self._moments[-1]:
            # The wall clock was set back: a chart cannot run backwards.
            self._moments.clear()
            self._rows.clear()
        self._moments.append(at)
        self._rows.append(row)

    @property
    def moments(self) -> Sequence[float]:
        """When samples were taken, in seconds UTC, the oldest first."""
        return tuple(self._moments)

    def of(self, name: str) -> Sequence[float | None]:
        """All values of a name."""
        return tuple(row.get(name) for row in self._rows)

    @property
    def latest(self) -> Mapping[str, float]:
        """The last row; empty before there is one."""
        return self._rows[-1] if self._rows else {}
