"""Fill a state directory with many sessions, by ``create`` from two processes: there is no faster path to measure."""

from __future__ import annotations

import multiprocessing
import queue
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Final

import coatcheck
from benchmarks.contents import SIZES, content, principal
from benchmarks.progress import progress
from coatcheck.lifetimes import DAY, Lifetimes

LASTING: Final = Lifetimes(idle=7 * DAY, absolute=30 * DAY, touch_interval=60.0)
"""Longer than any benchmark, touched as often as by default."""

UNTOUCHED: Final = Lifetimes(idle=7 * DAY, absolute=30 * DAY, touch_interval=1 * DAY)
"""The same, for scenarios that move the clock: no load finds a touch due because of that."""

_ALONE: Final = 20_000
_BATCH: Final = 500


@dataclass(frozen=True)
class Plan:
    """Which sessions to make. Session numbers count from 0."""

    sessions: int
    """How many."""

    size: str = "small"
    """A name of ``contents.SIZES``."""

    lifetimes: Lifetimes = LASTING
    """Of all but the short-lived."""

    short: Lifetimes | None = None
    """Lifetimes of the short-lived; None: there are none."""

    keep_every: int = 1
    """Where there are short-lived ones: every n-th is not, from session number 0 on."""

    large_every: int = 0
    """Every n-th session is a large one whatever ``size`` says; 0: none."""

    signed_in: bool = True
    """Whether each session is bound to a principal of its own, which means an index and an audit event more."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of the store."""

    def size_of(self, index: int) -> str:
        """The name of the size of a session."""
        return "large" if self.large_every and index % self.large_every == 0 else self.size

    def lifetimes_of(self, index: int) -> Lifetimes:
        """The lifetimes of a session."""
        return self.short if self.short is not None and index % self.keep_every else self.lifetimes

    def lasting(self) -> range:
        """The numbers of the sessions that are not short-lived."""
        return range(0, self.sessions, self.keep_every if self.short is not None else 1)

    def bytes_needed(self) -> int:
        """Roughly what they take on the disk."""
        large = -(-self.sessions // self.large_every) if self.large_every else 0
        return self.sessions * (1_200 + SIZES[self.size] * 5 // 4) + large * SIZES["large"] * 5 // 4


class DiskTooSmall(Exception):
    """Not enough room for what was asked; the text says how much there is."""


def seed(home: Path, plan: Plan, title: str = "coatcheck") -> list[str]:
    """Create the sessions in the state directory ``home``; their tokens by session number.

    Raises DiskTooSmall before anything is made.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home.parent).free
    if plan.bytes_needed() * 5 // 4 > free:
        need = plan.bytes_needed() / 1e9
        msg = f"{plan.sessions:,} sessions take about {need:.1f} GB, {free / 1e9:.1f} are free: fewer, or another --dir"
        raise DiskTooSmall(msg)
    with progress(f"{title}: seeding {plan.sessions:,} sessions", plan.sessions) as bar:
        # Where something expires, this process must not have had the store open before: its upkeep would sweep.
        if plan.sessions <= _ALONE and plan.short is None:
            tokens: list[str] = []
            for batch in _create(home, plan, range(plan.sessions)):
                tokens += batch
                bar.advance(len(batch))
            return tokens
        halves = (range(0, plan.sessions, 2), range(1, plan.sessions, 2))
        context = multiprocessing.get_context("spawn")
        answers: list[Queue[list[str]]] = [context.Queue() for _ in halves]
        workers = [
            context.Process(target=_work, args=(home, plan, half, answer), daemon=True)
            for half, answer in zip(halves, answers, strict=True)
        ]
        by_number = [""] * plan.sessions
        try:
            for worker in workers:
                worker.start()
            done = [0] * len(halves)
            while any(count < len(half) for count, half in zip(done, halves, strict=True)):
                for number, (half, answer) in enumerate(zip(halves, answers, strict=True)):
                    if done[number] == len(half):
                        continue
                    batch = _next(answer, workers[number])
                    for index, token in zip(half[done[number] :], batch, strict=False):
                        by_number[index] = token
                    done[number] += len(batch)
                    bar.advance(len(batch))
        finally:
            for worker in workers:
                worker.join(5)
                worker.kill()
        return by_number


def _next(answer: Queue[list[str]], worker: multiprocessing.process.BaseProcess) -> list[str]:
    while True:
        try:
            return answer.get(timeout=1)
        except queue.Empty:
            if not worker.is_alive() and answer.empty():
                msg = f"a seeding process ended with exit code {worker.exitcode}; its error is above"
                raise RuntimeError(msg) from None


def _work(home: Path, plan: Plan, indexes: range, answer: Queue[list[str]]) -> None:
    for batch in _create(home, plan, indexes):
        answer.put(batch)


def _create(home: Path, plan: Plan, indexes: range) -> Iterator[list[str]]:
    with coatcheck.connect(home, **plan.settings) as client:
        batch: list[str] = []
        for index in indexes:
            token, _ = client.create(
                content(plan.size_of(index), index),
                principal=principal(index) if plan.signed_in else None,
                lifetimes=plan.lifetimes_of(index),
            )
            batch.append(token)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
