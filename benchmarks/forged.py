"""``forged``: what a request with a forged or unknown token costs, through Flask, beside one with a session."""

from __future__ import annotations

import argparse
import base64
import secrets
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coatcheck
from benchmarks import peers, report
from benchmarks.ours import direct_side
from benchmarks.progress import progress
from benchmarks.rounds import Measure, alternate, turns
from benchmarks.samples import ratio
from benchmarks.seeding import Plan, seed
from benchmarks.servers import redis_server
from benchmarks.sides import DIRECT, REDIS, Side

_ISSUED = "issued"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=10_000, help="default 10000")
    parser.add_argument("--rounds", type=int, default=50, help="default 50")
    parser.add_argument("--batch", type=int, default=200, help="operations of one kind in a round (default 200)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    home = directory / "state"
    with redis_server(directory / "redis") as port:
        theirs = peers.redis_side(port, "small", options.sessions)
        tokens = seed(home, Plan(options.sessions))
        gone = _ended(home, 1_000)
        with direct_side(home, tokens) as ours:
            kinds: dict[str, Measure] = {
                f"{DIRECT}: {_ISSUED}": ours.time_loads,
                f"{DIRECT}: wrong MAC": _with(ours, lambda index: _forge(tokens[index % len(tokens)])),
                f"{DIRECT}: garbage": _with(ours, lambda _: secrets.token_urlsafe(24)),
                f"{DIRECT}: session has ended": _with(ours, lambda index: gone[index % len(gone)]),
                f"{REDIS}: {_ISSUED}": theirs.time_loads,
                f"{REDIS}: invented id": _with(theirs, lambda _: secrets.token_urlsafe(32)),
            }
            with progress("measuring", turns(options.rounds)) as bar:
                found = alternate(
                    kinds, sessions=options.sessions, rounds=options.rounds, batch=options.batch, progress=bar
                )
    issued = found[f"{DIRECT}: {_ISSUED}"]
    report.durations(
        "open_session and first key read",
        [(kind, series.summary(), str(ratio(issued, series))) for kind, series in found.items()],
        f"is faster than {DIRECT}, {_ISSUED}",
    )
    return {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "batch": options.batch,
        "load": {kind: series.summary().as_json() for kind, series in found.items()},
    }


def _with(side: Side, cookie: Callable[[int], str]) -> Measure:
    def measure(indexes: list[int]) -> array[int]:
        return side.time_opens([side.request(index, cookie(index)) for index in indexes])

    return measure


def _forge(token: str) -> str:
    """A token of the right form whose MAC is wrong."""
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[-1] ^= 1
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _ended(home: Path, count: int) -> list[str]:
    """Tokens that were issued, of sessions that have ended."""
    with coatcheck.connect(home) as client:
        tokens = [client.create({"n": number})[0] for number in range(count)]
        for token in tokens:
            client.delete(token)
    return tokens
