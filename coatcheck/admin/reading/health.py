"""Health: one look at a store and the actor system on it, with a verdict, findings, and what to do about each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from coatcheck.admin.opening import store_for
from coatcheck.admin.reading import store_health, system_health
from coatcheck.admin.reading.findings import Finding, Verdict, verdict_of, worst_first
from coatcheck.admin.reading.store_health import StoreLook, look_at
from coatcheck.admin.reading.words import moment
from coatcheck.clock import clock_from
from coatcheck.errors import ConfigurationError
from coatcheck.store import files
from coatcheck.system.status import SystemStatus, look

if TYPE_CHECKING:
    from coatcheck.settings import Settings
    from coatcheck.store.lmdb import LmdbStore

_LONGEST_WAIT: Final = 2.0
_SHORTEST_LOOK: Final = 1.0
_PARENTS: Final = {"runner": None, "admin": "runner", "SystemSupervisor": "admin"}


@dataclass(frozen=True)
class Health:
    """How a store and its actor system are. All of it can be written as JSON."""

    home: str
    """The state directory."""

    at: int
    """When it was looked, microseconds UTC by the clock of the store."""

    verdict: Verdict
    """``ok``, ``warning`` or ``critical``: the worst of the findings."""

    serving: bool
    """Whether an actor system answers and has the store open. On the direct lane none is needed."""

    findings: tuple[Finding, ...]
    """The worst ones first."""

    actors: tuple[dict[str, Any], ...] = ()
    """The tree: ``actor``, ``parent`` (its name, or None), ``pid``, ``state`` (``alive``, ``silent``, ``stopped``,
    ``starting``, ``absent``), and of those that answer ``uptime`` (seconds), ``handled``, ``failed`` (numbers by name),
    ``restarts``, ``last_error``, ``version``, ``details``."""

    system: dict[str, Any] | None = None
    """What the system has written down: ``pid``, ``port``, ``host``, ``epoch`` (8 hex digits of it), ``started_at``,
    ``version``; None when none runs."""

    store: dict[str, Any] | None = None
    """The fields of StoreStats; None where the store cannot be opened."""

    sweep: dict[str, Any] = field(default_factory=dict)
    """``due`` (entries), ``lag`` (seconds), ``held`` (whether the clock has jumped)."""

    durability: dict[str, Any] = field(default_factory=dict)
    """``mode``, ``unsynced`` (transactions), ``synced_ago`` (seconds)."""

    disk: dict[str, Any] = field(default_factory=dict)
    """``free``, ``total``, ``reserve``: bytes."""

    processes: dict[str, Any] = field(default_factory=dict)
    """``duty``, ``openers``: pids; ``writer``: the pid inside the writer gate, or None."""

    outbox: dict[str, Any] | None = None
    """The duty in Redis: ``mode``, ``error`` (None: none), and what it signals of itself; None without Redis."""

    def as_dict(self) -> dict[str, Any]:
        """For ``json.dumps``."""
        return {**asdict(self), "at": moment(self.at)}


def health(settings: Settings, timeout: float = 3.0, *, store: LmdbStore | None = None) -> Health:
    """Look at everything, for about ``timeout`` seconds.

    Nothing is changed or made. ``store``: one that is open already; else it is opened for the look. Never raises for
    what it finds: that is a finding.
    """
    ends = time.monotonic() + timeout
    now = clock_from(settings.clock).now()
    found: list[Finding] = []
    if not (settings.home / files.DATA).exists():
        what = f"there is no store in {settings.home}"
        remedy = "name its state directory with --home or COATCHECK_HOME; 'serve', or the first worker, makes one"
        found.append(Finding("no-store", "critical", what, remedy))
        seen = StoreLook()
    else:
        seen = _look_at_store(settings, timeout, store)
        found += store_health.findings_of(seen, settings.home)
    status = _look_at_system(settings, max(_SHORTEST_LOOK, ends - time.monotonic()), found)
    return Health(
        home=str(settings.home),
        at=now,
        verdict=verdict_of(found),
        serving=status.problem is None,
        findings=worst_first(found),
        actors=_tree(status),
        system=_system(status),
        outbox=_outbox(status),
        **_store(seen),
    )


def _look_at_store(settings: Settings, timeout: float, store: LmdbStore | None) -> StoreLook:
    if store is not None:
        return look_at(store)
    opened = store_for(replace(settings, gate_timeout=min(settings.gate_timeout, _LONGEST_WAIT, timeout)))
    opened.any_keys = True  # nothing that is sealed is read
    try:
        return look_at(opened)
    finally:
        opened.close()


def _look_at_system(settings: Settings, timeout: float, found: list[Finding]) -> SystemStatus:
    try:
        status = look(settings, timeout)
    except ConfigurationError as error:
        status = SystemStatus(settings.home, problem=str(error))
        found.append(Finding("system-refused", "critical", str(error), "ask as the user who runs it, with its secrets"))
        return status
    found += system_health.findings_of(settings, status)
    return status


def _tree(status: SystemStatus) -> tuple[dict[str, Any], ...]:
    return tuple({**row, "parent": _PARENTS.get(row["actor"], "SystemSupervisor")} for row in status.actors)


def _system(status: SystemStatus) -> dict[str, Any] | None:
    where = status.where
    if where is None or not status.actors:
        return None
    return {
        "pid": where.pid,
        "port": where.port,
        "host": where.host,
        "epoch": where.epoch.hex()[:8],
        "started_at": moment(where.started_at),
        "version": where.version,
        "restarts": len(where.restarted),
    }


def _outbox(status: SystemStatus) -> dict[str, Any] | None:
    for row in status.actors:
        details = row.get("details", {})
        if "mode" in details:
            return {"mode": details["mode"], "error": details.get("error"), **details.get("signals", {})}
    return None


def _store(seen: StoreLook) -> dict[str, Any]:
    stats, vitals = seen.stats, seen.vitals
    told: dict[str, Any] = {"disk": {} if seen.disk is None else asdict(seen.disk)}
    if stats is not None:
        told["store"] = {**asdict(stats), "counters": dict(stats.counters)}
        told["sweep"] = {"due": stats.due, "lag": stats.oldest_due}
    if vitals is not None:
        told["sweep"] = {**told.get("sweep", {}), "held": vitals.clock.held}
        told["durability"] = {
            "mode": vitals.durability,
            "unsynced": vitals.unsynced,
            "synced_ago": vitals.synced_ago,
        }
        told["processes"] = {"duty": list(vitals.duty), "openers": list(vitals.openers)}
    told.setdefault("processes", {})["writer"] = None if seen.writer is None else seen.writer[0]
    return told
