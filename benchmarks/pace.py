"""A fixed rate of operations, kept whatever the operations take: the way requests come in."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Protocol

from benchmarks.contents import CHANGED_KEY


class Visitor(Protocol):
    """What a worker process does on behalf of a browser."""

    def load(self, index: int) -> None:
        """Load session number ``index``."""

    def save(self, index: int, value: str) -> None:
        """Change one key of session number ``index``."""


@dataclass
class Paced:
    """Nanoseconds of each operation, and how long after its time each one began."""

    load: array[int] = field(default_factory=lambda: array("q"))
    """Durations of loads."""

    save: array[int] = field(default_factory=lambda: array("q"))
    """Durations of saves."""

    late: array[int] = field(default_factory=lambda: array("q"))
    """Delays of the start of both: large when the rate is more than the machine can do."""

    def extend(self, other: Paced) -> None:
        """Add what another process or round has measured."""
        self.load.extend(other.load)
        self.save.extend(other.save)
        self.late.extend(other.late)


def run_paced(
    visitor: Visitor,
    indexes: Sequence[int],
    *,
    rate: float,
    writes: float,
    until: Callable[[], bool],
    chance: random.Random,
) -> Paced:
    """Load and save random sessions out of ``indexes``, ``rate`` of both a second, a share ``writes`` of them saves.

    Moments are drawn as visitors come: independent of each other (exponential gaps). An operation that took too
    long makes the next ones late, and they follow without a pause until the schedule is caught up. ``until`` says
    when to stop.
    """
    found = Paced()
    clock = perf_counter_ns
    due = clock()
    number = 0
    while not until():
        due += int(chance.expovariate(rate) * 1e9)
        index = indexes[chance.randrange(len(indexes))]
        saves = chance.random() < writes
        early = due - clock()
        if early > 0:
            time.sleep(early / 1e9)
        number += 1
        began = clock()
        if saves:
            visitor.save(index, f"/product/{number}")
            found.save.append(clock() - began)
        else:
            visitor.load(index)
            found.load.append(clock() - began)
        found.late.append(began - due)
    return found


def for_seconds(seconds: float) -> Callable[[], bool]:
    """An ``until`` that comes true after that many seconds from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


class CoatcheckVisitor:
    """coatcheck's client, direct lane, all keys decoded at each load as a framework would have it."""

    def __init__(self, client: object, tokens: Sequence[str]) -> None:
        from coatcheck import SessionClient, Set

        assert isinstance(client, SessionClient)
        self._client = client
        self._tokens = tokens
        self._set = Set

    def load(self, index: int) -> None:
        """One ``load``, and the data as a dict."""
        record = self._client.load(self._tokens[index])
        assert record is not None
        record.values()

    def save(self, index: int, value: str) -> None:
        """One ``save`` of one key."""
        self._client.save(self._tokens[index], [self._set(CHANGED_KEY, value)])
