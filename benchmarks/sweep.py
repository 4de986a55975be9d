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
from benchmarks.rounds import frozen
from benchmarks.samples import Summary, summarize
from benchmarks.seeding import UNTOUCHED, Plan, seed
from benchmarks.sweeping import Swept, by_manager, by_verb
from coatcheck.lifetimes import DAY, HOUR, Lifetimes
from coatcheck.testing import FakeClock

SHORT: Final = Lifetimes(idle=1 * HOUR, absolute=1 * DAY)
"""Of the sessions that expire."""

KEEP_EVERY: Final = 5
"""Four of five sessions expire."""


@dataclass(frozen=True)
class _Job:
    home: Path
    settings: dict[str, str]
    tokens: Sequence[str]
    rate: float
    writes: float
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=MILLION, help="four of five expire (default 1000000)")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--anonymous", action="store_true", help="sessions of nobody, not each of a user of its own")
    parser.add_argument("--rate", type=float, default=1_000, help="loads and saves a second beside it (default 1000)")
    parser.add_argument("--writes", type=float, default=0.3, help="share of saves (default 0.3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of the same without a sweep (default 10)")
    parser.add_argument("--sweeper", choices=["verb", "manager"], default="verb", help="who sweeps (default verb)")
    parser.add_argument("--limit", type=int, default=1_000, help="the limit of one call of the verb (default 1000)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    clock = FakeClock(directory / "clock", now=time.time_ns() // 1000)
    settings = {"clock": clock.setting}
    home = directory / "state"
    signed_in = not options.anonymous
    plan = Plan(options.sessions, options.size, UNTOUCHED, SHORT, KEEP_EVERY, signed_in=signed_in, settings=settings)
    tokens = seed(home, plan)
    lasting = [tokens[index] for index in plan.lasting()]
    del tokens
    job = _Job(home, settings, lasting, options.rate, options.writes, options.seconds)
    manager = options.sweeper == "manager"
    sweeper = by_manager(home, settings) if manager else by_verb(home, settings, options.limit)
    with sweeper as sweep, _visitors(job) as visitors:
        visitors.send("calm")
        calm: Paced = visitors.recv()
        visitors.send("sweep")
        clock.advance(2 * HOUR)
        swept = sweep(len(lasting))
        visitors.send("end")
        meanwhile: Paced = visitors.recv()
    if swept.removed != options.sessions - len(lasting):
        msg = f"{swept.removed:,} sessions were swept, not {options.sessions - len(lasting):,}"
        raise AssertionError(msg)
    return _report(options, calm, meanwhile, swept)


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
        for seconds in (2.0, job.seconds):  # the first as a warm-up
            until = for_seconds(seconds)
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
    print(f"\n{swept.removed:,} swept in {swept.seconds:.1f} s by the {options.sweeper}")
    rows = [
        Row(f"sweep, {options.sessions:,} sessions", 25_000, swept.rate, unit="/s"),
        Row("save p99 while sweeping", 5.0, summaries["save, sweeping"].p99 / 1000, at_least=False, unit=" ms"),
        Row("load p99 while sweeping", 1.0, summaries["load, sweeping"].p99 / 1000, at_least=False, unit=" ms"),
    ]
    report.budgets(rows)
    return {
        "sessions": options.sessions,
        "sweeper": options.sweeper,
        "anonymous": options.anonymous,
        "removed": swept.removed,
        "seconds": round(swept.seconds, 3),
        "operations": {name: summary.as_json() for name, summary in summaries.items()},
        "budgets": [row.as_json() for row in rows],
    }
