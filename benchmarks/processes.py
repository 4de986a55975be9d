"""``processes``: several processes at a fixed rate, coatcheck and Redis in turn: medians, and above all the tails."""

from __future__ import annotations

import argparse
import multiprocessing
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import msgpack
import redis

import coatcheck
from benchmarks import report
from benchmarks.contents import SIZES, content
from benchmarks.pace import CoatcheckVisitor, Paced, Visitor, for_seconds, run_paced
from benchmarks.progress import progress
from benchmarks.rounds import frozen
from benchmarks.samples import Summary, summarize
from benchmarks.seeding import Plan, seed
from benchmarks.servers import redis_server

OURS: Final = "coatcheck"
THEIRS: Final = "redis"

_PATIENCE: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--sessions", type=int, default=10_000, help="default 10000")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--processes", type=int, default=4, help="default 4")
    parser.add_argument("--rate", type=float, default=8_000, help="operations a second, all together (default 8000)")
    parser.add_argument("--writes", type=float, default=0.3, help="share of saves (default 0.3)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of both sides in turn (default 10)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of one side in a round (default 2)")


class RedisVisitor:
    """GET and SET of ready-made bytes with redis-py: what any session library on Redis pays at the least."""

    def __init__(self, port: int, size: str) -> None:
        self._client = redis.Redis(port=port)
        self._value: bytes = msgpack.packb(content(size, 0), datetime=True)

    def load(self, index: int) -> None:
        """One GET."""
        assert self._client.get(f"session:{index}")

    def save(self, index: int, value: str) -> None:  # noqa: ARG002 - the bytes are as many, whatever they say
        """One SET with a lifetime."""
        self._client.set(f"session:{index}", self._value, ex=86_400)

    def seed(self, sessions: int) -> None:
        """Put all sessions there."""
        with self._client.pipeline(transaction=False) as pipeline:
            for index in range(sessions):
                pipeline.set(f"session:{index}", self._value, ex=86_400)
                if len(pipeline) >= 500:
                    pipeline.execute()
            pipeline.execute()


@dataclass(frozen=True)
class _Job:
    home: Path
    tokens: Sequence[str]
    port: int
    size: str
    rate: float
    writes: float
    seconds: float
    turns: tuple[str, ...]
    number: int


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    with redis_server(directory / "redis") as port:
        RedisVisitor(port, options.size).seed(options.sessions)
        home = directory / "state"
        tokens = seed(home, Plan(options.sessions, options.size))
        found = _measure(options, home, tokens, port)
    lines: list[tuple[str, Summary, str]] = []
    result: dict[str, dict[str, dict[str, float]]] = {}
    for operation in ("load", "save", "late"):
        for side in (OURS, THEIRS):
            summary = summarize(getattr(found[side], operation))
            what = f"{operation}, {side}" if operation != "late" else f"start behind schedule, {side}"
            lines.append((what, summary, ""))
            result.setdefault(operation, {})[side] = summary.as_json()
    title = (
        f"{options.processes} processes, {options.rate:,.0f} operations/s, {options.writes:.0%} saves, {options.size}"
    )
    report.durations(title, lines)
    ratios = {
        f"{operation} {tail}": round(result[operation][THEIRS][tail] / result[operation][OURS][tail], 3)
        for operation in ("load", "save")
        for tail in ("p50", "p99", "max")
    }
    report.table(f"how many times faster than {THEIRS}", list(ratios), [[f"{value:.2f}x" for value in ratios.values()]])
    return {**_echo(options), **result, "ratios": ratios}


def _echo(options: argparse.Namespace) -> dict[str, Any]:
    names = ("sessions", "size", "processes", "rate", "writes", "rounds", "seconds")
    return {"settings": {name: getattr(options, name) for name in names}}


def _measure(options: argparse.Namespace, home: Path, tokens: list[str], port: int) -> dict[str, Paced]:
    chance = random.Random(1)
    turns: list[str] = [OURS, THEIRS]  # a warm-up that is not counted
    for _ in range(options.rounds):
        turns += chance.sample([OURS, THEIRS], 2)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(options.processes)
    found = {OURS: Paced(), THEIRS: Paced()}
    rate = options.rate / options.processes
    with ExitStack() as stack:
        pipes = []
        for number in range(options.processes):
            mine, theirs = context.Pipe(duplex=False)
            job = _Job(home, tokens, port, options.size, rate, options.writes, options.seconds, tuple(turns), number)
            worker = context.Process(target=_work, args=(job, barrier, theirs), daemon=True)
            worker.start()
            theirs.close()
            stack.callback(worker.join, 5)
            stack.callback(worker.kill)
            pipes.append(mine)
        with progress("measuring in turn", len(turns)) as bar:
            for turn, side in enumerate(turns):
                for pipe in pipes:
                    measured: Paced = pipe.recv()
                    if turn >= 2:
                        found[side].extend(measured)
                bar.advance()
    return found


def _work(job: _Job, barrier: Barrier, answers: Connection) -> None:
    with coatcheck.connect(job.home) as client, frozen():
        visitors: dict[str, Visitor] = {
            OURS: CoatcheckVisitor(client, job.tokens),
            THEIRS: RedisVisitor(job.port, job.size),
        }
        chance = random.Random(job.number)
        for side in job.turns:
            barrier.wait(_PATIENCE)
            until = for_seconds(job.seconds)
            indexes = range(len(job.tokens))
            answers.send(
                run_paced(visitors[side], indexes, rate=job.rate, writes=job.writes, until=until, chance=chance)
            )
