"""One run: everything is started, visited and killed, and in the end looked at."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Final

import coatcheck
from coatcheck.client import SessionClient
from tests.chaos.killer import Killer
from tests.chaos.ledger import Entry, Kill, Ledger, Left, Outcome
from tests.chaos.load import Visitors
from tests.chaos.stage import LANES, Stage
from tests.chaos.verdict import Finding, judge
from tests.flask.gunicorn import Browser
from tests.support.leftovers import leftovers, mark_this_run

RECOVERS_WITHIN = 30.0
"""Seconds after the last kill in which both web servers answer again."""

VISITORS = 4


_NOT_BEGUN: Final = re.compile(
    r"^Traceback \(most recent call last\):\n"
    r'  File "<string>", line 1, in <module>\n'
    r'(?:  File "[^"\n]*/multiprocessing/spawn\.py", line \d+, in \w+\n(?: {4}.*\n)+){2}'
    r"EOFError: Ran out of input\n",
    re.MULTILINE,
)


@dataclass
class Report:
    """What there was, and what must not have been."""

    seed: int
    seconds: float
    ledger: Ledger
    findings: list[Finding] = field(default_factory=list)
    recovered_after: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all promises were kept."""
        return not self.findings

    def lines(self) -> Iterator[str]:
        """For people."""
        ledger = self.ledger
        outcomes, kills = ledger.outcomes(), Counter(each.kind for each in ledger.kills)
        yield f"seed {self.seed}, {self.seconds:.0f} s"
        yield f"kills      {len(ledger.kills)}: " + ", ".join(f"{kind} {kills[kind]}" for kind in sorted(kills))
        yield f"sessions   {len(ledger.tokens)}"
        yield f"requests   {len(ledger.entries)}: " + ", ".join(f"{each.value} {outcomes[each]}" for each in Outcome)
        for verb in ("add", "flash", "show"):
            of_verb = Counter(each.outcome for each in ledger.entries if each.verb == verb)
            yield f"  {verb:<9}" + ", ".join(f"{each.value} {of_verb[each]}" for each in Outcome)
        if self.recovered_after is not None:
            yield f"recovered  {self.recovered_after:.1f} s after the last kill"
        yield from self.notes
        yield from verdict_lines(self.findings, ledger, self.seed)


def verdict_lines(findings: Sequence[Finding], ledger: Ledger, seed: int) -> Iterator[str]:
    """What must not have been, with the requests and kills around it; and the verdict."""
    began = min((each.began for each in ledger.entries if each.began), default=0.0)
    for each in findings[:20]:
        yield f"NOT KEPT   {each.what} (session {each.mark}): {each.text}"
        for piece in each.evidence[-8:]:
            yield f"             {_evidence(piece, began)}"
        for kill in _kills_near(each, ledger):
            yield f"             {_evidence(kill, began)}"
    if len(findings) > 20:
        yield f"... and {len(findings) - 20} more"
    again = f"NOT KEPT: run it again with --seed {seed}"
    yield f"verdict    {again if findings else 'all promises were kept'}"


def _evidence(piece: Entry | Kill, began: float) -> str:
    if isinstance(piece, Kill):
        return f"{piece.at - began:8.3f} s  {piece.kind} (process {piece.pid}) was killed"
    shown = f", shown {list(piece.shown)}" if piece.verb == "show" else ""
    return (
        f"{piece.began - began:8.3f} to {piece.ended - began:.3f} s  {piece.verb} {piece.number} in tab {piece.tab} "
        f"over {piece.via} {piece.pid or ''}: {piece.outcome.value} {piece.remark}{shown}"
    )


def _kills_near(finding: Finding, ledger: Ledger) -> list[Kill]:
    times = [(each.began, each.ended) for each in finding.evidence[-8:] if isinstance(each, Entry)]
    return [kill for kill in ledger.kills if any(begin - 1.5 < kill.at < end + 0.5 for begin, end in times)]


def chaos(place: Path, seconds: float, seed: int) -> Report:
    """Run it for so long. ``place`` is an empty directory, which is left as it is in the end."""
    mark = mark_this_run()
    ledger = Ledger()
    report = Report(seed, seconds, ledger)
    with Stage(place) as stage:
        visitors = Visitors({lane: stage.servers[lane].port for lane in LANES}, ledger, VISITORS, seed)
        killer = Killer(stage, ledger, seed)
        visitors.start()
        killer.start()
        time.sleep(seconds)  # what the run is told to take
        killer.stop()
        report.recovered_after = _recovery(stage)
        visitors.stop()
        codes = stage.exit_codes[:]
    if report.recovered_after is None:
        report.findings.append(Finding("no recovery", "", f"no answer for {RECOVERS_WITHIN} s after the last kill"))
    if stage.exit_codes[-1] != 0 or set(codes) - {-9, 5}:
        report.findings.append(Finding("runner", "", f"run_system.py ended with {stage.exit_codes}"))
    report.findings += judge_store(stage.home, ledger)
    for pid, line in leftovers(mark, children=False).items():
        report.findings.append(Finding("process left", "", f"{pid}: {line}"))
    for name, log in stage.logs().items():
        text = of_ours(log)
        if "Traceback" in text:
            where = text[text.index("Traceback") :][:1500]
            report.findings.append(Finding("traceback", "", f"in the log of {name}: {where}"))
    return report


def of_ours(log: str) -> str:
    """A log without what Python says in a process whose parent was killed while it handed over how to begin.

    Nothing of coatcheck runs in it yet: every line is one of multiprocessing's, from the command on to the empty pipe.
    """
    return _NOT_BEGUN.sub("", log)


def _recovery(stage: Stage) -> float | None:
    """Seconds until each web server has answered with a session; None: never."""
    begin = time.monotonic()
    for lane, server in stage.servers.items():
        while True:
            with suppress(OSError, HTTPException):
                if Browser(server.port).get("/enter", mark=f"recovery-{lane}").status == 200:
                    break
            if time.monotonic() - begin > RECOVERS_WITHIN:
                return None
            time.sleep(0.05)
    return time.monotonic() - begin


def judge_store(home: Path, ledger: Ledger) -> list[Finding]:
    """Compare the ledger with what the store has, which must be sound."""
    with coatcheck.connect(home, lane="direct") as client:
        findings = [Finding("check", "", str(problem)) for problem in client.check().problems]
        return findings + judge(ledger, {mark: _left(client, token) for mark, token in ledger.tokens.items()})


def _left(client: SessionClient, token: str) -> Left | None:
    record = client.load(token, touch=False)
    if record is None:
        return None
    return Left(data=record.values(), flashes=[int(each.message) for each in record.flashes])
