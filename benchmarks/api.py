"""``api``: load and save at the level of Flask's session interface, coatcheck beside its peers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import peers, report, servers
from benchmarks.budgets import PARSED, Row, integration_rows
from benchmarks.contents import SIZES, content, packed_size
from benchmarks.ours import actor_side, direct_side
from benchmarks.progress import progress
from benchmarks.rounds import alternate, turns
from benchmarks.samples import Series, ratio
from benchmarks.seeding import Plan, seed
from benchmarks.servers import redis_server
from benchmarks.sides import ACTOR, COOKIE, DIRECT, REDIS, Side

SIDES: Final = (REDIS, COOKIE, DIRECT, ACTOR)

OPERATIONS: Final = ("load", PARSED, "save")

_ALL_SIZES_UP_TO: Final = 100_000
_BROWSER_KEEPS: Final = 4_093


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=10_000, help="sessions of each side (default 10000)")
    parser.add_argument("--rounds", type=int, default=50, help="rounds of all sides in turn (default 50)")
    parser.add_argument("--batch", type=int, default=200, help="operations of one side in a round (default 200)")
    parser.add_argument("--warm-up", type=float, default=6.0, metavar="SECONDS", help="not counted (default 6)")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), help="default: all, above 100,000 sessions small")
    parser.add_argument("--one-cpu", action="store_true", help="everything on one CPU: the best for Redis (Linux)")
    parser.add_argument("--without", nargs="+", choices=["cookie", "actor"], default=[], help="leave out these sides")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    sizes = options.sizes or (list(SIZES) if options.sessions <= _ALL_SIZES_UP_TO else ["small"])
    if options.one_cpu:
        servers.stay_on_one_cpu()
    rows: list[Row] = []
    result: dict[str, Any] = {"sessions": options.sessions, "rounds": options.rounds, "batch": options.batch}
    result["one_cpu"] = options.one_cpu
    result["sizes"] = {}
    with redis_server(directory / "redis") as port:
        for size in sizes:
            with _sides(options, directory / size, size, port) as sides:
                measured = _measure(options, size, sides)
            _print(size, measured)
            rows += integration_rows(size, options.sessions, measured)
            result["sizes"][size] = _as_json(size, measured)
    report.budgets(rows)
    result["budgets"] = [row.as_json() for row in rows]
    return result


@contextmanager
def _sides(options: argparse.Namespace, directory: Path, size: str, port: int) -> Iterator[list[Side]]:
    """All sides with their sessions, each of which has shown that it gives them back."""
    with ExitStack() as stack:
        sides = [peers.redis_side(port, size, options.sessions)]
        if "cookie" not in options.without:
            cookies = peers.cookie_side(size, options.sessions)
            if cookies.longest_cookie <= _BROWSER_KEEPS:
                sides.append(cookies)
            else:
                print(f"\n{COOKIE}: left out for {size} sessions, a browser would not keep such a cookie")
        tokens = seed(directory, Plan(options.sessions, size))
        sides.append(stack.enter_context(direct_side(directory, tokens)))
        if "actor" not in options.without:
            sides.append(stack.enter_context(actor_side(directory, tokens)))
        for side in sides:
            side.verify(size, side.sessions - 1, keeps=side.name != COOKIE)
        yield sides


def _measure(options: argparse.Namespace, size: str, sides: list[Side]) -> dict[tuple[str, str], Series]:
    operations = {("load", side.name): side.time_loads for side in sides}
    operations |= {(PARSED, side.name): side.time_parsed_loads for side in sides}
    operations |= {("save", side.name): side.time_saves for side in sides}
    with progress(f"measuring {size} sessions", turns(options.rounds)) as bar:
        return alternate(
            operations,
            sessions=options.sessions,
            rounds=options.rounds,
            batch=options.batch,
            progress=bar,
            warm_up_seconds=options.warm_up,
        )


def _print(size: str, measured: dict[tuple[str, str], Series]) -> None:
    for operation in OPERATIONS:
        lines = []
        for side in SIDES:
            if (operation, side) in measured:
                series = measured[operation, side]
                note = "" if side == DIRECT else str(ratio(series, measured[operation, DIRECT]))
                lines.append((side, series.summary(), note))
        report.durations(f"{operation}, {size} ({SIZES[size] / 1000:g} kB)", lines, f"{DIRECT} is faster")


def _as_json(size: str, measured: dict[tuple[str, str], Series]) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": packed_size(content(size, 0)), **{operation: {} for operation in OPERATIONS}}
    for (operation, side), series in measured.items():
        found[operation][side] = series.summary().as_json()
    return found
