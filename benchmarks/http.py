"""``http``: requests a second with a real load generator on real servers, beside each framework's usual sessions."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.budgets import Row
from benchmarks.contents import SIZES
from benchmarks.progress import progress
from benchmarks.servers import START_SECONDS, ServerMissing, free_port, redis_server, running

OURS: Final = "coatcheck"
PEERS: Final = {
    "flask": {"redis": "Flask-Session + Redis", "cookie": "Flask's signed cookie"},
    "django": {"redis": "cached_db + Redis", "cookie": "signed_cookies"},
    "starlette": {"redis": "starsessions + Redis", "cookie": "Starlette's signed cookie"},
}
MIXES: Final = {"read mix": 0.1, "write mix": 0.5}
"""The share of requests that change the session."""

LEAST: Final = 1.3
"""How many times as many requests a second as Flask-Session + Redis."""

_ROOT: Final = Path(__file__).resolve().parent.parent
_SCRIPT: Final = Path(__file__).with_name("http.lua")


@dataclass
class Site:
    """A server that runs, and what was seen of it."""

    framework: str
    side: str
    port: int
    cookies: Path
    seen: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For the table."""
        return OURS if self.side == OURS else PEERS[self.framework][self.side]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--frameworks", nargs="+", choices=list(PEERS), default=list(PEERS), help="default: all")
    parser.add_argument("--sessions", type=int, default=500, help="of each side (default 500)")
    parser.add_argument("--size", choices=list(SIZES), default="small", help="default small")
    parser.add_argument("--rounds", type=int, default=8, help="rounds of all sides in turn (default 8)")
    parser.add_argument("--seconds", type=int, default=2, help="of one side and mix in a round (default 2)")
    parser.add_argument("--connections", type=int, default=8, help="of the load generator (default 8)")


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure and print; the whole result for ``--json``."""
    if shutil.which("wrk") is None:
        msg = "no wrk on PATH: apt-get install wrk"
        raise ServerMissing(msg)
    rows: list[Row] = []
    result: dict[str, Any] = {"size": options.size, "connections": options.connections, "requests/s": {}, "p99 us": {}}
    with redis_server(directory / "redis") as redis_port:
        for framework in options.frameworks:
            with ExitStack() as stack:
                sites = [
                    stack.enter_context(_site(framework, side, directory, redis_port, options))
                    for side in (OURS, *PEERS[framework])
                ]
                _measure(sites, options)
            _report(framework, sites, rows, result)
    report.budgets(rows)
    result["budgets"] = [row.as_json() for row in rows]
    return result


@contextmanager
def _site(framework: str, side: str, directory: Path, redis_port: int, options: argparse.Namespace) -> Iterator[Site]:
    port = free_port()
    home = directory / f"{framework}-{side}"
    environ = {"SITE_SIDE": side, "SITE_HOME": str(home), "SITE_REDIS": str(redis_port), "SITE_SIZE": options.size}
    environ = {**os.environ, **environ}
    module = f"benchmarks.sites.{framework}_site"
    if framework == "django":
        subprocess.run([sys.executable, "-c", f"import {module} as m; m.prepare()"], cwd=_ROOT, env=environ, check=True)
    if framework == "starlette":
        # One worker: those of `--workers` write head and body of an answer 40 ms apart (Nagle), whoever keeps sessions.
        command = ["uvicorn", f"{module}:app", "--port", str(port), "--no-access-log"]
    else:
        command = ["gunicorn", f"{module}:app", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    log = directory / f"{framework}-{side}.log"
    with running([sys.executable, "-m", *command], log, {**environ, "PYTHONPATH": str(_ROOT)}) as process:
        cookies = directory / f"{framework}-{side}.cookies"
        try:
            _await_server(port, process)
            cookies.write_text("\n".join(_start(port, number) for number in range(options.sessions)))
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            msg = f"{framework} with {side} does not answer ({error}); its log ends with: {log.read_text()[-2000:]}"
            raise RuntimeError(msg) from error
        yield Site(framework, side, port, cookies)


def _await_server(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _start(port: int, number: int) -> str:
    """Begin a session; the cookie that is to be sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/start?n={number}")
    answer = connection.getresponse()
    answer.read()
    found = [value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    connection.close()
    if answer.status != 200 or len(found) != 1:
        msg = f"/start answers {answer.status} with {len(found)} cookies"
        raise RuntimeError(msg)
    return found[0]


def _measure(sites: list[Site], options: argparse.Namespace) -> None:
    chance = random.Random(1)
    with progress(f"{sites[0].framework}: in turn", (options.rounds + 1) * len(sites) * len(MIXES)) as bar:
        for turn in range(options.rounds + 1):
            for mix, writes in MIXES.items():
                for site in chance.sample(sites, len(sites)):
                    seen = _wrk(site, writes, options)
                    if turn:  # the first one warms up
                        site.seen.setdefault(mix, []).append(seen)
                    bar.advance()


def _wrk(site: Site, writes: float, options: argparse.Namespace) -> dict[str, float]:
    command = ["wrk", "--threads", "1", "--connections", str(options.connections), "--duration", f"{options.seconds}s"]
    done = subprocess.run(
        [*command, "--script", str(_SCRIPT), f"http://127.0.0.1:{site.port}"],
        env={**os.environ, "COOKIES": str(site.cookies), "WRITES": str(writes)},
        capture_output=True,
        text=True,
        check=True,
    )
    seen: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if seen["errors"] or not seen["requests"]:
        msg = f"{site.framework} with {site.name}: {seen['errors']} of {seen['requests']} requests failed"
        raise RuntimeError(msg)
    return {"rate": seen["requests"] / seen["microseconds"] * 1e6, "p50": seen["p50"], "p99": seen["p99"]}


def _report(framework: str, sites: list[Site], rows: list[Row], result: dict[str, Any]) -> None:
    ours = sites[0]
    for mix, writes in MIXES.items():
        lines = []
        for site in sites:
            rate, p50, p99 = (
                statistics.median(each[name] for each in site.seen[mix]) for name in ("rate", "p50", "p99")
            )
            times = statistics.median(
                mine["rate"] / theirs["rate"] for mine, theirs in zip(ours.seen[mix], site.seen[mix], strict=True)
            )
            lines.append(
                [site.name, f"{rate:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}", "" if site is ours else f"{times:.2f}x"]
            )
            result["requests/s"][f"{framework}, {mix}, {site.name}"] = round(rate)
            result["p99 us"][f"{framework}, {mix}, {site.name}"] = round(p99)
            if framework == "flask" and site.side == "redis":
                rows.append(Row(f"requests/s, Flask, {mix}, against {site.name}", LEAST, times))
        head = ("", "requests/s", "p50 us", "p99 us", f"{OURS} serves")
        report.table(f"{framework}, {mix} ({writes:.0%} of the requests write)", head, lines)
