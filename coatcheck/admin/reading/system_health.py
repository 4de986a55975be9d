"""What the actors of a system say about how it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import coatcheck
from coatcheck.admin.reading.findings import Finding
from coatcheck.system.files import HOW_TO_START, LOCK, SYSTEM, now_in_microseconds

if TYPE_CHECKING:
    from coatcheck.settings import Settings
    from coatcheck.system.status import SystemStatus

LOOP: Final = 3
"""Restarts within a minute that make a loop."""

QUEUE_LONG: Final = 100
"""Writes that wait in the manager for their turn, from which on that is said."""

_MINUTE: Final = 60_000_000
_SEE_LOG: Final = "see the log of the actor system (stderr of 'serve', or journalctl)"
_CONTINUE: Final = "continue it (kill -CONT {pid}), or end it: it is started again"

Row = dict[str, Any]


def findings_of(settings: Settings, status: SystemStatus) -> Iterator[Finding]:
    """What is wrong with the actor system of these settings, as one look at it has shown."""
    rows = {row["actor"]: row for row in status.actors}
    if "runner" not in rows and "SystemSupervisor" not in rows:
        yield _not_running(settings, status)
        return
    yield from _loops(status, rows)
    yield from _versions(status, rows)
    if status.problem is not None:
        yield _why_it_does_not_serve(status.problem, rows)
    for row in status.actors:
        yield from _about(row)


def _not_running(settings: Settings, status: SystemStatus) -> Finding:
    home = settings.home
    start = HOW_TO_START.format(home=home)
    if (home / SYSTEM).exists():
        what = status.problem or f"the actor system of {home} cannot be asked"
        return Finding("system-down", "critical", what, f"{start}; {_SEE_LOG} for why it ended")
    if settings.lane == "actor" or (home / LOCK).exists():
        return Finding("system-down", "critical", f"no actor system runs on {home}", start)
    what = f"no actor system has ever run on {home}: workers on the direct lane look after the store themselves"
    return Finding("no-system", "info", what, f"none is needed; {start}")


def _loops(status: SystemStatus, rows: dict[str, Row]) -> Iterator[Finding]:
    for name, row in rows.items():
        if (row.get("restarts_lately") or 0) >= LOOP:
            what = f"the {name} was started {row['restarts_lately']} times within a minute: it does not stay up"
            yield Finding("restart-loop", "critical", what, f"{_SEE_LOG} for what ends it")
    since = now_in_microseconds() - _MINUTE
    lately = sum(at > since for at in status.where.restarted) if status.where is not None else 0
    if lately >= LOOP:
        what = f"the whole actor system was started {lately} times within a minute: its admin does not stay up"
        yield Finding("restart-loop", "critical", what, f"{_SEE_LOG} for what ends it")


def _versions(status: SystemStatus, rows: dict[str, Row]) -> Iterator[Finding]:
    running = {name: row["version"] for name, row in rows.items() if row.get("version")}
    if status.where is not None and status.where.version:
        running["runner"] = status.where.version
    running["this command"] = coatcheck.__version__
    if len(set(running.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in running.items())
        yield Finding(
            "two-versions",
            "warning",
            f"several versions of coatcheck are at work: {told}",
            "upgrade them all, then restart the actor system and its workers: they need not understand each other",
        )


def _why_it_does_not_serve(problem: str, rows: dict[str, Row]) -> Finding:
    for name in ("runner", "admin", "SystemSupervisor", "SessionManager"):
        row = rows.get(name)
        code = name.removeprefix("System").removeprefix("Session").lower()
        if row is None:
            continue
        pid = row["pid"]
        if row["state"] == "stopped":
            what = f"the {name} (process {pid}) is stopped: {problem}"
            return Finding(f"{code}-stopped", "critical", what, _CONTINUE.format(pid=pid))
        if row["state"] in {"absent", "starting"}:
            what = f"there is no {name}, or it has not come up: {problem}"
            return Finding(f"{code}-dead", "critical", what, f"it is started again by itself; {_SEE_LOG}")
        if row["state"] == "silent":
            what = f"the {name} (process {pid or 'unknown'}) does not answer: {problem}"
            remedy = f"it is ended and started again after ten seconds; {_SEE_LOG}"
            return Finding(f"{code}-silent", "critical", what, remedy)
    if "SystemSupervisor" not in rows:
        return Finding("admin-silent", "critical", problem, _SEE_LOG)
    return Finding("store-not-open", "critical", problem, "see the findings about the store, and its log")


def _redis(name: str, details: Row) -> Iterator[Finding]:
    if details.get("error"):
        shared = details.get("mode") == "shared"
        yield Finding(
            "redis-down",
            "critical" if shared else "warning",
            f"Redis cannot be asked: {details['error']}",
            "start Redis, or see that COATCHECK_REDIS_URL is right; "
            + ("nothing is written meanwhile" if shared else "sessions are served meanwhile, and the outbox waits"),
        )
    for each in details.get("findings", ()):
        severity = "critical" if each["severe"] else "warning"
        yield Finding(f"redis-{each['code']}", severity, each["text"], f"do what it says; the {name} looks again")  # type: ignore[arg-type]


def _about(row: Row) -> Iterator[Finding]:
    name, details = row["actor"], row.get("details", {})
    yield from _redis(name, details)
    if details.get("dropped_frames"):
        yield Finding(
            "foreign-frames",
            "warning",
            f"the {name} has dropped {details['dropped_frames']} messages not sealed with the server's secret",
            "see that all workers have the same secrets; else somebody knocks at its port: the log names the peers",
        )
    if (details.get("writes_waiting") or 0) >= QUEUE_LONG:
        yield Finding(
            "queue-long",
            "warning",
            f"{details['writes_waiting']} writes wait in the {name} for their turn",
            "see whether another writer is stuck or the disk is slow; workers on the direct lane do not wait here",
        )
    if row.get("last_error"):
        yield Finding("actor-error", "info", f"the last error of the {name} was {row['last_error']}", _SEE_LOG)
