"""``status``: whether the actor system of a state directory serves sessions, and how its parts are.

It looks, and changes nothing: where no system runs, neither a directory nor a secret is made.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import StoreUnavailable
from coatcheck.messages import ActorReport, InspectActor
from coatcheck.system.files import Whereabouts
from coatcheck.system.joining import find_manager, join_base
from coatcheck.system.names import SUPERVISOR_CLASS, SUPERVISOR_NAME
from coatcheck.system.process import admin_of, alive, state_of
from coatcheck.system.wire import Unanswered, Undelivered

if TYPE_CHECKING:
    from coatcheck.settings import Settings

_PAUSE: Final = 0.05
_KNOWN: Final = ("pid", "state", "restarts", "restarts_lately")
_TOLD: Final = ("version", "started_at", "uptime", "handled", "failed", "late", "unrecognized", "last_error", "details")
"""What an actor's own report has for ``--json``."""


@dataclass
class SystemStatus:
    """What one look has shown."""

    home: Path
    """The state directory."""

    problem: str | None = None
    """Why no sessions are served, with the remedy; None when they are."""

    actors: list[dict[str, Any]] = field(default_factory=list)
    """The process that runs the system, the admin, the supervisor, its children: ``actor``, ``pid``, ``state``, more.

    ``state``: ``alive``, ``silent`` (did not answer in time), ``stopped`` (by a signal), ``starting`` or ``absent``.
    """

    where: Whereabouts | None = None
    """What the system has written down about itself; None when none runs."""

    def as_text(self) -> str:
        """A line for each actor."""
        return "\n".join(_line(each) for each in self.actors)

    def as_json(self) -> str:
        """One JSON object, on one line."""
        values = {"home": str(self.home), "healthy": self.problem is None, "problem": self.problem}
        return json.dumps({**values, "actors": self.actors}, ensure_ascii=False)


def look(settings: Settings, timeout: float) -> SystemStatus:
    """Ask everybody, for up to ``timeout`` seconds. Raises ConfigurationError when this process may not ask."""
    found = SystemStatus(settings.home)
    try:
        _look(settings, time.monotonic() + timeout, found)
    except StoreUnavailable as error:
        found.problem = str(error)
    return found


def _look(settings: Settings, deadline: float, found: SystemStatus) -> None:
    """Write down one after the other. Raises StoreUnavailable at the first who cannot be asked."""
    where = found.where = Whereabouts.read(settings.home)
    if alive(where.pid):
        state = state_of(where.pid)
        found.actors.append({"actor": "runner", "pid": where.pid, "state": state, "port": where.port})
        admin = admin_of(where.pid)
        state = "absent" if admin is None else state_of(admin)
        found.actors.append({"actor": "admin", "pid": admin, "state": state, "restarts": len(where.restarted)})
    base, _ = join_base(settings, _left(deadline))
    try:
        supervisor = base.named_actor(SUPERVISOR_CLASS, SUPERVISOR_NAME, _left(deadline))
        row: dict[str, Any] = {"actor": "SystemSupervisor", "pid": None, "state": "silent"}
        found.actors.append(row)
        report = _inspect(base, supervisor, deadline, row)
        row = {"actor": "SessionManager", "pid": None, "state": "absent"}
        for each in report.children:
            if each["actor"] == row["actor"]:
                row.update((name, each.get(name)) for name in _KNOWN)
        found.actors.append(row)
        found.actors += [dict(each) for each in report.children if each["actor"] != row["actor"]]
        manager = find_manager(base, _left(deadline))
        row["state"] = "silent"
        _require_ready(base, manager, deadline, row)
    finally:
        base.leave()


def _inspect(base: Any, address: Any, deadline: float, row: dict[str, Any]) -> ActorReport:
    """The report of an actor, which is written into its row."""
    name = row["actor"]
    try:
        reply = base.call(address, InspectActor(deadline=deadline), _left(deadline))
    except (Undelivered, Unanswered):
        msg = f"the {name} does not answer in time: see the log of the actor system"
        raise StoreUnavailable(msg) from None
    if not isinstance(reply, ActorReport):
        msg = f"the {name} cannot say how it is: {getattr(reply, 'text', '')}"
        raise StoreUnavailable(msg)
    row.update(pid=reply.pid, state="alive", **{each: getattr(reply, each) for each in _TOLD})
    return reply


def _require_ready(base: Any, manager: Any, deadline: float, row: dict[str, Any]) -> None:
    """Wait until the manager has the store open: it opens it after it has begun to answer."""
    while not _inspect(base, manager, deadline, row).details.get("ready"):
        if _left(deadline) <= _PAUSE:
            why = f" ({row['last_error']})" if row["last_error"] else ""
            msg = f"the SessionManager has not opened the store{why}: see the log of the actor system"
            raise StoreUnavailable(msg)
        time.sleep(_PAUSE)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _line(row: dict[str, Any]) -> str:
    more = []
    if "port" in row:
        more.append(f"port {row['port']}")
    if "uptime" in row:
        more.append(f"up {timedelta(seconds=int(row['uptime']))}")
    if "restarts" in row:
        more.append(f"{row['restarts']} restarts")
    details = row.get("details", {})
    if "ready" in details:
        more.append("store open" if details["ready"] else "store not open")
    if "mode" in details:
        more.append(f"redis {details['mode']}")
        more += [] if details["error"] is None else [details["error"]]
        more += [each["text"] for each in details["findings"]]
    pid = "-" if row["pid"] is None else row["pid"]
    return f"{row['actor']:<16} {pid:>8} {row['state']:<8} {', '.join(more)}".rstrip()
