"""``after-expiry``: saves of 40 kB sessions before and after four of five sessions of a big store were swept.

A sweep leaves free pages all over the file. What needs several pages side by side then searches for them, save by
save; this shows whether it does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from flask import Flask

import coatcheck
from benchmarks import report
from benchmarks.budgets import MILLION, Row
from benchmarks.contents import SIZES
from benchmarks.progress import progress
from benchmarks.rounds import Measure, alternate, turns
from benchmarks.samples import Series
from benchmarks.seeding import UNTOUCHED, Plan, seed
from benchmarks.sides import Side
from benchmarks.sweep import KEEP_EVERY, SHORT
from benchmarks.sweeping import Swept, by_verb
from coatcheck.flask import CoatcheckSessionInterface
from coatcheck.lifetimes import HOUR
from coatcheck.testing import FakeClock

_CONTROL: Final = "never swept"
_SUBJECT: Final = "swept"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=MILLION, help="four of five expire (default 1000000)")
    parser.add_argument("--large-every", type=int, default=500, help="each n-th session is a large one (default 500)")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="of the others (default small)")
    parser.add_argument("--rounds", type=int, default=50, help="before, and again after (default 50)")
    parser.add_argument("--batch", type=int, default=100, help="saves of one store in a round (default 100)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    every = -(-options.large_every // KEEP_EVERY) * KEEP_EVERY  # a multiple: the large ones last
    clock = FakeClock(directory / "clock", now=time.time_ns() // 1000)
    settings = {"clock": clock.setting}
    subject = Plan(options.sessions, options.size, UNTOUCHED, SHORT, KEEP_EVERY, every, settings=settings)
    large = -(-options.sessions // every)
    control = Plan(large, "large", UNTOUCHED, settings=settings)
    tokens = seed(directory / _SUBJECT, subject, _SUBJECT)[::every]
    with (
        by_verb(directory / _SUBJECT, settings, 1_000) as sweep,
        coatcheck.connect(directory / _SUBJECT, **settings) as client,
        coatcheck.connect(directory / _CONTROL, **settings) as calm,
    ):
        sides = {
            _SUBJECT: _side(client, tokens),
            _CONTROL: _side(calm, seed(directory / _CONTROL, control, _CONTROL)),
        }
        before = _saves(options, sides, "before")
        clock.advance(2 * HOUR)
        swept = sweep(len(subject.lasting()))
        after = _saves(options, sides, "after")
    return _report(options, swept, before, after)


def _side(client: coatcheck.SessionClient, tokens: Sequence[str]) -> Side:
    app = Flask("after expiry")
    app.session_interface = CoatcheckSessionInterface(client)
    return Side("coatcheck", app, tokens)


def _saves(options: argparse.Namespace, sides: dict[str, Side], when: str) -> dict[str, Series]:
    measures: dict[str, Measure] = {name: side.time_saves for name, side in sides.items()}
    count = min(side.sessions for side in sides.values())
    with progress(f"saving {when}", turns(options.rounds)) as bar:
        return alternate(measures, sessions=count, rounds=options.rounds, batch=options.batch, progress=bar)


def _report(
    options: argparse.Namespace, swept: Swept, before: dict[str, Series], after: dict[str, Series]
) -> dict[str, Any]:
    found = {
        f"{name}, {when}": series[name].summary()
        for name in (_SUBJECT, _CONTROL)
        for when, series in (("before", before), ("after", after))
    }
    report.durations(
        f"save_session of large sessions; {swept.removed:,} of {options.sessions:,} swept in {swept.seconds:.1f} s",
        [(name, summary, "") for name, summary in found.items()],
    )
    drift = found[f"{_CONTROL}, after"].p50 / found[f"{_CONTROL}, before"].p50
    change = found[f"{_SUBJECT}, after"].p50 / found[f"{_SUBJECT}, before"].p50
    rows = [Row("save p50, large, after the sweep against before", 2.0, change, at_least=False)]
    report.budgets(rows)
    print(f"\nThe store that was never swept changed by {drift:.2f}x meanwhile: what the machine did by itself.")
    return {
        "sessions": options.sessions,
        "removed": swept.removed,
        "save": {name: summary.as_json() for name, summary in found.items()},
        "drift": round(drift, 4),
        "budgets": [row.as_json() for row in rows],
    }
