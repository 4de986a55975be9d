"""``sweep``: how fast expired sessions go, and what another process's loads and saves notice of it."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import coatcheck
from benchmarks import report
from benchmarks.budgets import MILLION, Row
from benchmarks.contents import SIZES
from benchmarks.pace import CoatcheckVisitor, Paced, for_seconds, run_paced
from benchmarks.progress import progress
from benchmarks.rounds import frozen
from benchmarks.samples import Summary, summarize
from benchmarks.seeding import UNTOUCHED, Plan, seed
from coatcheck.lifetimes import DAY, HOUR, Lifetimes
from coatcheck.testing import FakeClock

SHORT: Final = Lifetimes(idle=1 * HOUR, absolute=1 * DAY)
"""Of the sessions that expire."""

KEEP_EVERY: Final = 5
"""Four of five sessions expire."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=MILLION, help="four of five expire (default 1000000)")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--rate", type=float, default=1_000, help="loads and saves a second beside it (default 1000)")
    parser.add_argument("--writes", type=float, default=0.3, help="share of saves (default 0.3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of the same without a sweep (default 10)")
    parser.add_argument("--limit", type=int, default=1_000, help="the limit of one sweep call (default 1000)")


@dataclass(frozen=True)
class Swept:
    """What sweeping until nothing was due has done."""

    removed: int
    """Sessions."""

    seconds: float
    """In all."""

    gate_seconds: float
    """Inside the writer gate."""


@dataclass(frozen=True)
class _Job:
    home: Path
    settings: dict[str, str]
    tokens: Sequence[str]
    rate: float
    writes: float
    seconds: float


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    clock = FakeClock(directory / "clock", now=time.time_ns() // 1000)
    settings = {"clock": clock.setting}
    home = directory / "state"
    plan = Plan(options.sessions, options.size, UNTOUCHED, SHORT, KEEP_EVERY, settings=settings)
    tokens = seed(home, plan)
    lasting = [tokens[index] for index in plan.lasting()]
    del tokens
    job = _Job(home, settings, lasting, options.rate, options.writes, options.seconds)
    with coatcheck.connect(home, **settings) as client, _visitors(job) as visitors:
        visitors.send("calm")
        calm: Paced = visitors.recv()
        clock.advance(2 * HOUR)
        visitors.send("sweep")
        swept = sweep_all(client, options.sessions - len(lasting), options.limit)
        visitors.send("end")
        meanwhile: Paced = visitors.recv()
        left = client.stats().sessions
    if left != len(lasting):
        msg = f"{left:,} sessions are left after the sweep, not {len(lasting):,}"
        raise AssertionError(msg)
    return _report(options, calm, meanwhile, swept)


def sweep_all(client: coatcheck.SessionClient, expected: int, limit: int) -> Swept:
    """Sweep until nothing is due; ``expected`` is for the progress display."""
    removed, gate = 0, 0.0
    began = time.monotonic()
    with progress("sweeping", expected) as bar:
        while True:
            done = client.sweep(limit=limit)
            removed += done.removed
            gate += done.seconds
            bar.advance(done.removed)
            if done.held:
                msg = "nothing was swept: the store distrusts the clock (see doctor)"
                raise AssertionError(msg)
            if not done.more:
                return Swept(removed, time.monotonic() - began, gate)


@contextmanager
def _visitors(job: _Job) -> Iterator[Connection]:
    """A process that loads and saves while it is told to."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    worker = context.Process(target=_visit, args=(job, theirs), daemon=True)
    worker.start()
    theirs.close()
    try:
        yield mine
    finally:
        mine.close()
        worker.join(5)
        worker.kill()


def _visit(job: _Job, orders: Connection) -> None:
    chance = random.Random(1)
    with coatcheck.connect(job.home, **job.settings) as client, frozen():
        visitor = CoatcheckVisitor(client, job.tokens)
        indexes = range(len(job.tokens))
        orders.recv()
        for until in (for_seconds(2.0), for_seconds(2.0 + job.seconds)):
            found = run_paced(visitor, indexes, rate=job.rate, writes=job.writes, until=until, chance=chance)
        orders.send(found)
        orders.recv()
        orders.send(run_paced(visitor, indexes, rate=job.rate, writes=job.writes, until=orders.poll, chance=chance))
        orders.recv()


def _report(options: argparse.Namespace, calm: Paced, meanwhile: Paced, swept: Swept) -> dict[str, Any]:
    summaries: dict[str, Summary] = {
        "load, no sweep": summarize(calm.load),
        "load, sweeping": summarize(meanwhile.load),
        "save, no sweep": summarize(calm.save),
        "save, sweeping": summarize(meanwhile.save),
        "start behind schedule, sweeping": summarize(meanwhile.late),
    }
    report.durations(
        f"another process, {options.rate:,.0f} operations/s, {options.writes:.0%} saves, {options.size} sessions",
        [(name, summary, "") for name, summary in summaries.items()],
    )
    rows = [
        Row(f"sweep, {options.sessions:,} sessions", 25_000, swept.removed / swept.seconds, unit="/s"),
        Row("save p99 while sweeping", 5.0, summaries["save, sweeping"].p99 / 1000, at_least=False, unit=" ms"),
        Row("load p99 while sweeping", 1.0, summaries["load, sweeping"].p99 / 1000, at_least=False, unit=" ms"),
    ]
    share = swept.gate_seconds / swept.seconds
    print(f"\n{swept.removed:,} removed in {swept.seconds:.1f} s, {share:.0%} of it inside the writer gate")
    report.budgets(rows)
    return {
        "sessions": options.sessions,
        "removed": swept.removed,
        "seconds": round(swept.seconds, 3),
        "gate_share": round(share, 4),
        "operations": {name: summary.as_json() for name, summary in summaries.items()},
        "budgets": [row.as_json() for row in rows],
    }
