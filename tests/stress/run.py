"""One run: a system, processes of askers, somebody who disturbs; and in the end a look at the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import coatcheck
from coatcheck.client import SessionClient
from tests.chaos.ledger import Entry, Ledger, Outcome
from tests.chaos.run import judge_store, verdict_lines
from tests.chaos.verdict import Finding
from tests.stress.disturber import Disturber
from tests.support.leftovers import leftovers, mark_this_run
from tests.system.running import ROOT, RunningSystem

PROCESSES: Final = (("threads", 8), ("threads", 8), ("threads", 8), ("threads", 8), ("tasks", 16), ("raw", 2))
"""What asks how, and how many in a process."""

GIVES_UP_AFTER: Final = 1800.0
"""Seconds after which the askers are not waited for any longer."""


@dataclass
class Report:
    """What there was, and what must not have been."""

    seed: int
    ledger: Ledger
    asks: int = 0
    seconds: float = 0.0
    stops: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all promises were kept."""
        return not self.findings

    def lines(self) -> Iterator[str]:
        """For people."""
        ledger = self.ledger
        outcomes = ledger.outcomes()
        yield f"seed       {self.seed}"
        yield f"asks       {self.asks} in {self.seconds:.0f} s, {self.asks / max(self.seconds, 0.001):.0f} a second"
        yield f"manager    killed {len(ledger.kills)} times, stopped {self.stops} times"
        yield f"requests   {len(ledger.entries)}: " + ", ".join(f"{each.value} {outcomes[each]}" for each in Outcome)
        again = sum(bool(each.remark) for each in ledger.entries if each.outcome is Outcome.CONFIRMED)
        yield f"           {again} of them confirmed only when they were asked again with the same id"
        for how in sorted({each.via for each in ledger.entries if each.via}):
            of_it = Counter(each.outcome for each in ledger.entries if each.via == how)
            yield f"  {how:<9}" + ", ".join(f"{each.value} {of_it[each]}" for each in Outcome)
        yield from verdict_lines(self.findings, ledger, self.seed)


def stress(place: Path, asks: int, seed: int) -> Report:
    """Ask so often in all. ``place`` is an empty directory, which is left as it is in the end."""
    mark = mark_this_run()
    ledger = Ledger()
    report = Report(seed, ledger)
    home = place / "state"
    with RunningSystem(home) as system:
        plans = list(_plans(place, home, asks, seed, ledger))
        disturber = Disturber(system.pid, lambda: system.log.count("the store is open"), ledger, seed)
        begin = time.monotonic()
        processes = [
            subprocess.Popen([sys.executable, "-m", "tests.stress.askers", str(each)], cwd=ROOT, env=os.environ.copy())
            for each in plans
        ]
        disturber.start()
        try:
            codes = [each.wait(GIVES_UP_AFTER) for each in processes]
        finally:
            disturber.stop()
            for each in processes:
                each.kill()
                each.wait()
        report.seconds, report.stops = time.monotonic() - begin, disturber.stops
        if any(codes):
            report.findings.append(Finding("asker", "", f"the processes of the askers ended with {codes}"))
    for plan in plans:
        output = plan.with_suffix(".out")
        values: dict[str, Any] = {"asks": 0, "entries": []}
        if output.exists():
            values = json.loads(output.read_text())
        report.asks += values["asks"]
        for entry in values["entries"]:
            ledger.note(_entry(entry))
    report.findings += judge_store(home, ledger)
    for pid, line in leftovers(mark, children=False).items():
        report.findings.append(Finding("process left", "", f"{pid}: {line}"))
    return report


def _entry(values: dict[str, Any]) -> Entry:
    return Entry(**{**values, "outcome": Outcome(values["outcome"]), "shown": tuple(values["shown"])})


def _plans(place: Path, home: Path, asks: int, seed: int, ledger: Ledger) -> Iterator[Path]:
    """A file for each process, which says what it does; all sessions are made here."""
    each_asks = max(1, asks // sum(count for _, count in PROCESSES))
    with coatcheck.connect(home, lane="direct") as client:
        everybody = [_session(client, ledger, f"everybody-{number}") for number in range(asks // 10_000 + 1)]
        tab = 0
        for number, (kind, count) in enumerate(PROCESSES):
            plan = {
                "home": str(home),
                "kind": kind,
                "count": count,
                "asks": each_asks,
                "seed": seed * 1000 + tab,
                "first_tab": tab,
                "sessions": {
                    "own": [_session(client, ledger, f"own-{tab + own}") for own in range(count)],
                    "shared": _session(client, ledger, f"shared-{number}"),
                    "everybody": everybody,
                },
                "output": str(place / f"askers-{number}.out"),
            }
            tab += count
            path = place / f"askers-{number}.json"
            path.write_text(json.dumps(plan))
            yield path


def _session(client: SessionClient, ledger: Ledger, mark: str) -> tuple[str, str]:
    token, _ = client.create({"mark": mark}, principal=mark)
    ledger.tokens[mark] = token
    ledger.note(Entry(mark=mark, verb="enter", outcome=Outcome.CONFIRMED, answer_mark=mark))
    return mark, token
