"""``coatcheck status``: the tree of actors, the store, and what to do about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.admin import exits
from coatcheck.admin.reading.health import Health, health
from coatcheck.admin.reading.words import clock_time, duration, size
from coatcheck.admin.tool import Tool, tool_command

if TYPE_CHECKING:
    from rich.tree import Tree

_STATES: Final = {"alive": "green", "starting": "yellow"}


@tool_command("status")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True, help="Seconds.")
@click.option("--fail-on", type=click.Choice(["critical", "warning"]), default="critical", show_default=True)
def command(tool: Tool, timeout: float, fail_on: str) -> int:
    """How the actor system and the store are, and what to do about what is wrong.

    Looks, and changes nothing. Exit code 0: nothing critical; 7: sessions are not served, or something critical was
    found; 9: only warnings, with --fail-on warning.
    """
    found = health(tool.settings, timeout)
    tool.tell(found.as_dict(), lambda: _show(found))
    return exit_code(found.verdict, fail_on)


def exit_code(verdict: str, fail_on: str) -> int:
    """What a verdict ends with."""
    if verdict == "critical":
        return exits.CRITICAL
    return exits.WARNED if verdict == "warning" and fail_on == "warning" else exits.DONE


def _show(found: Health) -> None:
    from coatcheck.admin.rendering import STYLES, console, facts, plain, show_findings

    to = console()
    to.print(plain(f"{found.verdict}  ", STYLES[found.verdict]).append(plain(found.home)))
    if found.actors:
        to.print(_tree(found))
    to.print(facts(_facts(found)))
    show_findings(to, found.findings)


def _tree(found: Health) -> Tree:
    from rich.tree import Tree

    system = found.system or {}
    version, epoch = system.get("version") or "?", system.get("epoch", "?")
    root = Tree(f"coatcheck {version}, epoch {epoch}")
    branches = {None: root}
    for row in found.actors:
        parent = branches.get(row["parent"], root)
        branches[row["actor"]] = parent.add(_line(row))
    return root


def _line(row: dict[str, Any]) -> Any:
    from coatcheck.admin.rendering import plain

    pid = "-" if row["pid"] is None else row["pid"]
    line = plain(f"{row['actor']} ", "bold").append(f"{pid} ").append(row["state"], _STATES.get(row["state"], "red"))
    return line.append(plain("".join(f", {each}" for each in _told(row))))


def _told(row: dict[str, Any]) -> list[str]:
    details = row.get("details", {})
    told = []
    if "port" in row:
        told.append(f"port {row['port']}")
    if "uptime" in row:
        told.append(f"up {duration(row['uptime'])}")
        told.append(f"{sum(row['handled'].values())} handled, {sum(row['failed'].values())} failed")
    if row.get("restarts"):
        told.append(f"{row['restarts']} restarts")
    if "jobs" in details:
        told.append(f"queue {details['jobs']}")
    if "ready" in details and not details["ready"]:
        told.append("store not open")
    if details.get("on_duty"):
        told.append("on duty")
    if row.get("last_error"):
        told.append(f"last error {row['last_error']}")
    return told


def _facts(found: Health) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("looked at", f"{clock_time(found.at)} UTC")]
    store, sweep, durable, disk = found.store, found.sweep, found.durability, found.disk
    if store is not None:
        rows.append(("sessions", f"{store['sessions']}, {store['principals']} of them signed in"))
        share = store["used_bytes"] / store["map_bytes"]
        rows.append(("store", f"{size(store['used_bytes'])} in use, {share:.1%} of {size(store['map_bytes'])}"))
    if sweep:
        lag = "is held: the clock has jumped" if sweep.get("held") else f"is {duration(sweep['lag'])} behind"
        rows.append(("sweep", f"{lag}, {sweep['due']} entries are due"))
    if durable:
        rows.append(("durability", _durability(durable)))
    if disk:
        rows.append(("disk", f"{size(disk['free'])} free"))
    duty = ", ".join(map(str, found.processes.get("duty", ()))) or "nobody"
    openers = len(found.processes.get("openers", ()))
    rows.append(("processes", f"{openers} others have the store open; on duty: {duty}"))
    outbox = found.outbox
    rows.append(("outbox", "none: no Redis" if outbox is None else ", ".join(f"{k} {v}" for k, v in outbox.items())))
    return rows


def _durability(durable: dict[str, Any]) -> str:
    if durable["mode"] == "commit":
        return "commit: each write waits for the disk"
    ago = "no sync point yet" if durable["synced_ago"] is None else f"sync point {duration(durable['synced_ago'])} ago"
    return f"second: {ago}, {durable['unsynced']} transactions since"
