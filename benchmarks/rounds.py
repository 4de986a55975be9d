"""Fair turns: all sides measure in small rounds, in a new order each time, so that noise hits all of them alike."""

from __future__ import annotations

import gc
import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from benchmarks.progress import Progress
from benchmarks.samples import Series

Measure = Callable[[list[int]], "array[int]"]
"""Runs the operation once on each of these session numbers and returns the durations in nanoseconds."""

Name = TypeVar("Name")


@contextmanager
def frozen() -> Iterator[None]:
    """Keep the collector away from all that exists already: no side pays for what seeding left behind."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def alternate(
    measures: Mapping[Name, Measure],
    *,
    sessions: int,
    rounds: int,
    batch: int,
    progress: Progress,
    warm_up_seconds: float = 0.0,
    seed: int = 1,
) -> dict[Name, Series]:
    """Measure all sides in turn, ``rounds`` times ``batch`` operations each, on the same sessions in the same order.

    A tenth of the rounds, at least one, runs before as warm-up and is not counted; more of them until
    ``warm_up_seconds`` have passed.
    """
    chance = random.Random(seed)
    series: dict[Name, Series] = {name: Series() for name in measures}
    warm_up = max(1, rounds // 10)
    warm_at = time.monotonic() + warm_up_seconds
    number = -warm_up
    with frozen():
        while number < rounds:
            indexes = [chance.randrange(sessions) for _ in range(batch)]
            order = list(measures)
            chance.shuffle(order)
            for name in order:
                durations = measures[name](indexes)
                if number >= 0:
                    series[name].add(durations)
            if number == -1 and time.monotonic() < warm_at:
                continue
            number += 1
            progress.advance()
    return series


def turns(rounds: int) -> int:
    """How often ``alternate`` advances its progress."""
    return rounds + max(1, rounds // 10)
