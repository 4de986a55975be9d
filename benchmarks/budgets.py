"""What the design asks for, as ratios within one run, and whether a run has shown it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.samples import Ratio, Series, ratio
from benchmarks.sides import COOKIE, DIRECT, REDIS

MILLION: Final = 1_000_000

PARSED: Final = "load (cookies parsed before)"
"""The operation ``load`` without Werkzeug's parsing of the request's cookies."""

Measured = Mapping[tuple[str, str], Series]
"""The series by operation (``load`` or ``save``) and side."""


@dataclass(frozen=True)
class Row:
    """One budget beside what was seen."""

    what: str
    """Such as ``load, small, against flask-session + redis``."""

    need: float
    """The bound."""

    seen: Ratio | float
    """What this run measured, in the same unit."""

    at_least: bool = True
    """Whether the bound is the least that is needed (True) or the most that is allowed."""

    unit: str = "x"
    """Of ``need`` and of ``seen``."""

    @property
    def value(self) -> float:
        """``seen`` as a number."""
        return self.seen.value if isinstance(self.seen, Ratio) else self.seen

    @property
    def met(self) -> bool:
        """Whether the run stayed within the bound."""
        return self.value >= self.need if self.at_least else self.value <= self.need

    def as_json(self) -> dict[str, Any]:
        """For the file of ``--json``."""
        found: dict[str, Any] = {"what": self.what, "need": self.need, "seen": round(self.value, 4), "met": self.met}
        found.update(at_least=self.at_least, unit=self.unit)
        if isinstance(self.seen, Ratio):
            found.update(low=round(self.seen.low, 4), high=round(self.seen.high, 4), calm=round(self.seen.calm, 4))
        return found


_INTEGRATION: Final[Mapping[tuple[str, str, str], float]] = {
    ("load", "small", REDIS): 10.0,
    ("load", "medium", REDIS): 3.0,
    ("load", "large", REDIS): 0.7,
    ("save", "small", REDIS): 4.0,
    ("save", "medium", REDIS): 4.0,
    ("save", "large", REDIS): 2.0,
    ("load", "small", COOKIE): 2.0,
}
"""How many times faster the direct lane must be, p50, at 10,000 sessions."""


def integration_rows(size: str, sessions: int, measured: Measured) -> Iterator[Row]:
    """The budgets of the level of Flask's session interface that apply to this size, for the sides that took part."""
    for (operation, of_size, peer), usual in _INTEGRATION.items():
        if of_size != size or not {(operation, peer), (operation, DIRECT)} <= set(measured):
            continue
        need = 2.5 if (operation, size) == ("save", "small") and sessions >= MILLION else usual
        seen = ratio(measured[operation, peer], measured[operation, DIRECT])
        yield Row(f"{operation} p50, {size}, against {peer}", need, seen)
