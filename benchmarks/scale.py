"""``scale``: a store of 1,000,000 sessions beside one of 10,000, and a restart beside one of an empty store."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from benchmarks import report
from benchmarks.budgets import MILLION, Row
from benchmarks.contents import SIZES
from benchmarks.ours import direct_side
from benchmarks.progress import progress
from benchmarks.rounds import Measure, alternate, turns
from benchmarks.samples import Ratio, Series, ratio
from benchmarks.seeding import Plan, seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=MILLION, help="of the big store (default 1000000)")
    parser.add_argument("--few", type=int, default=10_000, help="of the small store (default 10000)")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--rounds", type=int, default=50, help="default 50")
    parser.add_argument("--batch", type=int, default=200, help="operations of one side in a round (default 200)")
    parser.add_argument("--restarts", type=int, default=15, help="restarts on each store (default 15)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    names = {"one": 1, "few": options.few, "many": options.sessions}
    tokens = {name: seed(directory / name, Plan(count, options.size), name) for name, count in names.items()}
    found = _loads_and_saves(options, directory, tokens)
    restarts = _restarts(options.restarts, {name: (directory / name, tokens[name][-1]) for name in ("one", "many")})
    rows = [
        Row(f"{operation} p50, {options.sessions:,} against {options.few:,} sessions", 1.5, _inverse(slower), False)
        for operation in ("load", "save")
        for slower in [ratio(found[operation, "few"], found[operation, "many"])]
    ]
    change = statistics.median(restarts["many"]["all"]) / statistics.median(restarts["one"]["all"])
    rows.append(Row(f"restart to first answer, {options.sessions:,} sessions against one", 1.2, change, False))
    report.durations(
        f"{options.size} sessions, direct lane",
        [(f"{operation}, {names[name]:,} sessions", each.summary(), "") for (operation, name), each in found.items()],
    )
    report.table(
        f"restart, medians of {options.restarts} in ms",
        ("", "new process to first answer", "first request alone"),
        [
            (f"{names[name]:,} sessions", *(f"{statistics.median(each):.1f}" for each in times.values()))
            for name, times in restarts.items()
        ],
    )
    report.budgets(rows)
    return {
        "sessions": {"few": options.few, "many": options.sessions},
        "size": options.size,
        "operations": {f"{operation} {name}": each.summary().as_json() for (operation, name), each in found.items()},
        "restart": {
            name: {what: round(statistics.median(each), 3) for what, each in times.items()}
            for name, times in restarts.items()
        },
        "budgets": [row.as_json() for row in rows],
    }


def _inverse(faster: Ratio) -> Ratio:
    return Ratio(1 / faster.value, 1 / faster.high, 1 / faster.low, 1 / faster.calm)


def _loads_and_saves(
    options: argparse.Namespace, directory: Path, tokens: dict[str, list[str]]
) -> dict[tuple[str, str], Series]:
    with direct_side(directory / "few", tokens["few"]) as few, direct_side(directory / "many", tokens["many"]) as many:
        few.verify(options.size, options.few - 1)
        many.verify(options.size, options.sessions - 1)
        measures: dict[tuple[str, str], Measure] = {
            ("load", "few"): _spread(few.time_loads, options),
            ("load", "many"): many.time_loads,
            ("save", "few"): _spread(few.time_saves, options),
            ("save", "many"): many.time_saves,
        }
        with progress("measuring", turns(options.rounds)) as bar:
            return alternate(
                measures, sessions=options.sessions, rounds=options.rounds, batch=options.batch, progress=bar
            )


def _spread(measure: Measure, options: argparse.Namespace) -> Measure:
    """The same session numbers, brought into the range of the small store."""
    return lambda indexes: measure([index % options.few for index in indexes])


def _restarts(count: int, stores: dict[str, tuple[Path, str]]) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each restart, the stores in turn; a first one of each is not counted."""
    found: dict[str, dict[str, list[float]]] = {name: {"all": [], "request": []} for name in stores}
    with progress("restarting", count + 1) as bar:
        for number in range(-1, count):
            for name, (home, token) in stores.items():
                whole, request = _restart(home, token)
                if number >= 0:
                    found[name]["all"].append(whole)
                    found[name]["request"].append(request)
            bar.advance()
    return found


def _restart(home: Path, token: str) -> tuple[float, float]:
    began = perf_counter_ns()
    arguments = [sys.executable, "-m", "benchmarks.first_answer", str(home)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(token + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        whole = (perf_counter_ns() - began) / 1e6
    if not line:
        msg = "the restarted application gave no answer; its error is above"
        raise RuntimeError(msg)
    return whole, json.loads(line)["request_ms"]
