"""``lanes``: what the authenticated wire costs beside a bare Thespian echo of the same size, and what it carries."""

from __future__ import annotations

import argparse
import random
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import coatcheck
from benchmarks import report
from benchmarks.asking import Asker, ask_bare, ask_client, ask_coatcheck, asker
from benchmarks.budgets import Row
from benchmarks.contents import SIZES
from benchmarks.ours import actor_system, await_answer
from benchmarks.progress import progress
from benchmarks.rounds import alternate, turns
from benchmarks.samples import ratio
from benchmarks.seeding import Plan, seed
from coatcheck.messages import LoadSession, SessionLoaded

BARE: Final = "bare Thespian echo"
ASK: Final = "ask(LoadSession)"
CLIENT: Final = "client.load, actor lane"

THREADS: Final = (1, 4, 16)

MOST: Final = 1.25
"""How many times as long as the echo an ask may take (p50)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=1_000, help="default 1000")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--rounds", type=int, default=50, help="rounds of all sides in turn (default 50)")
    parser.add_argument("--batch", type=int, default=100, help="asks of one side in a round (default 100)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one side with so many threads (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="of that, in turn; the median counts (default 5)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    from coatcheck.system.payload import write

    home = directory / "state"
    tokens = seed(home, Plan(options.sessions, options.size))
    with coatcheck.connect(home) as client:
        record = client.load(tokens[0])
    assert record is not None
    sender = b"127.0.0.1:12345"
    request = LoadSession(token=tokens[0])
    sizes = len(write(sender, request)), len(write(sender, SessionLoaded(request_id=b"i" * 16, record=record)))
    with ExitStack() as stack:
        stack.enter_context(actor_system(home))
        with coatcheck.connect(home, lane="actor") as client:
            await_answer(client, tokens[0])
        sides = {
            BARE: stack.enter_context(asker(ask_bare, *sizes)),
            ASK: stack.enter_context(asker(ask_coatcheck, home, tokens)),
            CLIENT: stack.enter_context(asker(ask_client, home, tokens)),
        }
        rows, result = _latency(options, sides, sizes)
        result["throughput"] = _throughput(options, sides)
    report.budgets(rows)
    result["budgets"] = [row.as_json() for row in rows]
    return result


def _latency(
    options: argparse.Namespace, sides: dict[str, Asker], sizes: tuple[int, int]
) -> tuple[list[Row], dict[str, Any]]:
    with progress("asking in turn", turns(options.rounds)) as bar:
        found = alternate(
            {name: side.latencies for name, side in sides.items()},
            sessions=options.sessions,
            rounds=options.rounds,
            batch=options.batch,
            progress=bar,
        )
    times = {name: ratio(found[name], found[BARE]) for name in (ASK, CLIENT)}
    report.durations(
        f"one asks, {sizes[0]} bytes there and {sizes[1]} back",
        [(name, series.summary(), str(times.get(name, ""))) for name, series in found.items()],
        f"as long as {BARE}",
    )
    result: dict[str, Any] = {
        "sessions": options.sessions,
        "bytes": {"request": sizes[0], "reply": sizes[1]},
        "latency": {name: series.summary().as_json() for name, series in found.items()},
    }
    row = Row(f"{ASK} p50, against a {BARE} of the same size", MOST, times[ASK], at_least=False)
    return [row], result


def _throughput(options: argparse.Namespace, sides: dict[str, Asker]) -> dict[str, dict[str, int]]:
    chance = random.Random(1)
    rates: dict[tuple[str, int], list[float]] = {}
    with progress("asking together", options.repeats * len(THREADS) * len(sides)) as bar:
        for _ in range(options.repeats):
            for threads in THREADS:
                for name in chance.sample(list(sides), len(sides)):
                    rates.setdefault((name, threads), []).append(sides[name].throughput(threads, options.seconds))
                    bar.advance()
    found = {
        name: {str(threads): round(statistics.median(rates[name, threads])) for threads in THREADS} for name in sides
    }
    report.table(
        "asks a second, median of the repeats",
        ("", *(f"{threads} thread{'s' if threads > 1 else ''}" for threads in THREADS)),
        [[name, *(f"{found[name][str(threads)]:,}" for threads in THREADS)] for name in sides],
    )
    return found
