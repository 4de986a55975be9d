"""``sync-points``: what saves cost more because a power loss must not cost more than a second."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import coatcheck
from benchmarks import report
from benchmarks.asking import asker, serve
from benchmarks.budgets import Row
from benchmarks.contents import CHANGED_KEY, SIZES
from benchmarks.progress import progress
from benchmarks.rounds import alternate, turns
from benchmarks.samples import ratio
from benchmarks.seeding import Plan, seed
from coatcheck import Set

WITH: Final = "with sync points"
WITHOUT: Final = "without"

MOST: Final = 1.1
"""How many times as long a save may take with sync points (p50)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=10_000, help="default 10000")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES), help="default: all")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of both sides in turn (default 10)")
    parser.add_argument("--batch", type=int, default=40_000, help="saves in a round, over a second (default 40000)")


def save(pipe: Connection, home: Path, tokens: Sequence[str], *, sync_points: bool) -> None:
    """Save a key of the session of each number that is asked for, in this process, which syncs each second."""
    if not sync_points:
        _leave_out_sync_points()
    with coatcheck.connect(home) as client:
        count = 0

        def one(index: int) -> None:
            nonlocal count
            count += 1
            client.save(tokens[index], [Set(CHANGED_KEY, f"/product/{count % 1000}")])

        serve(pipe, one)


def _leave_out_sync_points() -> None:
    """No sync, and no pin that keeps pages from being used again: LMDB as it is without an fsync."""
    from coatcheck.store.sync_points import SyncPoints
    from coatcheck.store.upkeep import Upkeep

    def ensure(self: SyncPoints, _: Any) -> None:
        if self.gate is not None:
            self.gate.pin_owner = 1  # so that no writer looks for one again

    others: list[tuple[type, str, Any]] = [(SyncPoints, "ensure", ensure), (Upkeep, "start", lambda _: None)]
    for cls, name, other in others:
        setattr(cls, name, other)


def save_with(pipe: Connection, home: Path, tokens: Sequence[str]) -> None:
    """As the library does it."""
    save(pipe, home, tokens, sync_points=True)


def save_without(pipe: Connection, home: Path, tokens: Sequence[str]) -> None:
    """As it would be if a power loss could take everything."""
    save(pipe, home, tokens, sync_points=False)


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    rows: list[Row] = []
    result: dict[str, Any] = {"sessions": options.sessions, "rounds": options.rounds, "batch": options.batch}
    for size in options.sizes:
        # Large saves take longer, and a turn is to be some seconds at most.
        batch = options.batch // (4 if size == "large" else 1)
        with ExitStack() as stack:
            sides = {}
            for name, work in ((WITH, save_with), (WITHOUT, save_without)):
                home = directory / size / name.replace(" ", "-")
                tokens = seed(home, Plan(options.sessions, size))
                sides[name] = stack.enter_context(asker(work, home, tokens)).latencies
            with progress(f"saving {size} sessions in turn", turns(options.rounds)) as bar:
                found = alternate(sides, sessions=options.sessions, rounds=options.rounds, batch=batch, progress=bar)
        times = ratio(found[WITH], found[WITHOUT])
        lines = [(name, series.summary(), str(times) if name == WITH else "") for name, series in found.items()]
        report.durations(f"save, {size}", lines, "as long as without")
        rows.append(Row(f"save p50, {size}, with sync points against without", MOST, times, at_least=False))
        result[size] = {name: series.summary().as_json() for name, series in found.items()}
    report.budgets(rows)
    result["budgets"] = [row.as_json() for row in rows]
    return result
