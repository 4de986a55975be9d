"""``coatcheck stats``: counts and sizes."""

from __future__ import annotations

from dataclasses import asdict

from coatcheck.admin.reading.words import duration, size
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.contract import StoreStats


@tool_command("stats")
def command(tool: Tool) -> None:
    """Counts and sizes, from the store's own tables."""
    with tool.store(any_keys=True) as store:
        stats = store.stats()
    values = asdict(stats)
    del values["counters"]  # of this process, which has done nothing
    tool.tell(values, lambda: _show(stats))


def _show(stats: StoreStats) -> None:
    from coatcheck.admin.rendering import console, facts

    console().print(
        facts(
            [
                ("sessions", f"{stats.sessions}, those included that have expired and are not swept yet"),
                ("signed in", stats.principals),
                ("anonymous", stats.sessions - stats.principals),
                ("tokens", f"{stats.tokens}: current, in grace, retired, and of what has ended"),
                ("due", f"{stats.due} entries wait for the sweep, which is {duration(stats.oldest_due)} behind"),
                ("in use", f"{size(stats.used_bytes)} of {size(stats.map_bytes)} (map_size)"),
                ("file", size(stats.file_bytes)),
                ("readers", stats.readers),
                ("audit events", stats.audit_events),
                ("durability", stats.durability),
                ("encryption", stats.encryption or "off"),
            ]
        )
    )
