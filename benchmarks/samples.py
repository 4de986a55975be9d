"""Numbers from measured durations: nanoseconds in, microseconds out."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Summary:
    """What is left of many durations. Microseconds."""

    count: int
    """How many there were."""

    p50: float
    """The median."""

    p90: float
    """Nine of ten were at most this long."""

    p99: float
    """Ninety-nine of a hundred were at most this long."""

    max: float
    """The longest."""

    def as_json(self) -> dict[str, float]:
        """For the file of ``--json``, rounded to nanoseconds."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


class Series:
    """The durations of one operation of one side, kept by round."""

    def __init__(self) -> None:
        self._rounds: list[array[int]] = []

    def add(self, durations: array[int]) -> None:
        """Append the durations (ns) of one round."""
        self._rounds.append(durations)

    def round_medians(self) -> list[float]:
        """The median (ns) of each round, in order."""
        return [statistics.median(each) for each in self._rounds]

    def summary(self) -> Summary:
        """Over all rounds. Raises ValueError when nothing was measured."""
        return summarize(duration for each in self._rounds for duration in each)


def summarize(nanoseconds: Iterable[int]) -> Summary:
    """The summary of durations in nanoseconds. Raises ValueError when there are none."""
    ordered = sorted(nanoseconds)
    if not ordered:
        msg = "nothing was measured: ask for more rounds or seconds"
        raise ValueError(msg)
    return Summary(len(ordered), _at(ordered, 0.50), _at(ordered, 0.90), _at(ordered, 0.99), _at(ordered, 1.0))


def _at(ordered: Sequence[int], share: float) -> float:
    """The smallest value that this share of all does not pass (nearest rank), in microseconds."""
    rank = min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))
    return ordered[rank] / 1000


@dataclass(frozen=True)
class Ratio:
    """How many times faster one side is; above 1 it is faster."""

    value: float
    """Ratio of the two medians over all rounds."""

    low: float
    """A tenth of the rounds had a lower ratio."""

    high: float
    """A tenth of the rounds had a higher ratio."""

    calm: float
    """Ratio of what each side took in the quickest tenth of its rounds: the least noise that this run can offer."""

    def __str__(self) -> str:
        return f"{self.value:.2f}x ({self.low:.2f} to {self.high:.2f}; calm {self.calm:.2f})"


def ratio(slow: Series, fast: Series) -> Ratio:
    """How many times faster ``fast`` is. The rounds pair up, so noise that hits both sides of a round cancels out."""
    slow_rounds, fast_rounds = slow.round_medians(), fast.round_medians()
    each = sorted(a / b for a, b in zip(slow_rounds, fast_rounds, strict=True))
    tenth = len(each) // 10
    calm = sorted(slow_rounds)[tenth] / sorted(fast_rounds)[tenth]
    return Ratio(slow.summary().p50 / fast.summary().p50, each[tenth], each[-1 - tenth], calm)
