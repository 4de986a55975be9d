"""``coatcheck top``: the rates of all processes, refreshed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from coatcheck.admin.reading.words import duration, size
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.metering import Tally, read

if TYPE_CHECKING:
    from rich.console import Group

    from coatcheck.store.contract import StoreStats

_SHOWN = 12


@tool_command("top")
@click.option("--interval", type=click.FloatRange(0.2), default=2.0, show_default=True, help="Seconds.")
@click.option("-n", "count", type=click.IntRange(1), help="End after so many looks (never).")
def command(tool: Tool, interval: float, count: int | None) -> None:
    """What all processes do, in operations a second, until Ctrl-C.

    With --json one object a line, a look each: "rates" and "counts" by name, "processes", "stats". Processes write
    their counters down once a second.
    """
    from rich.live import Live

    from coatcheck.admin.rendering import console

    home = tool.settings.home
    with tool.client(lasting=True) as client:
        before, then = read(home), time.monotonic()
        live = Live(console=console(), auto_refresh=False)
        if not tool.as_json:
            live.start()
        try:
            looks = 0
            while count is None or looks < count:
                time.sleep(interval)
                looks += 1
                tally, now = read(home), time.monotonic()
                rates = rates_between(before, tally, now - then)
                stats = client.stats()
                before, then = tally, now
                if tool.as_json:
                    tool.tell_json(_row(rates, tally, stats))
                else:
                    live.update(_page(rates, tally, stats), refresh=True)
        except KeyboardInterrupt:
            return
        finally:
            live.stop()


def rates_between(before: Tally, after: Tally, seconds: float) -> dict[str, float]:
    """Operations a second by name, the most frequent first. What has begun again counts from 0."""
    rates = {
        name: max(0, count - before.counts.get(name, 0)) / max(seconds, 1e-6) for name, count in after.counts.items()
    }
    return dict(sorted(rates.items(), key=lambda each: (-each[1], each[0])))


def _row(rates: Mapping[str, float], tally: Tally, stats: StoreStats) -> dict[str, Any]:
    return {
        "rates": {name: round(rate, 2) for name, rate in rates.items()},
        "counts": dict(tally.counts),
        "processes": [{"pid": each.pid, "program": each.program} for each in tally.processes],
        "stats": {"sessions": stats.sessions, "due": stats.due, "oldest_due": stats.oldest_due},
    }


def _page(rates: Mapping[str, float], tally: Tally, stats: StoreStats) -> Group:
    from rich.console import Group

    from coatcheck.admin.rendering import facts, table

    head = facts(
        [
            ("sessions", f"{stats.sessions}, {stats.principals} of them signed in"),
            ("store", f"{size(stats.used_bytes)} in use; the sweep is {duration(stats.oldest_due)} behind"),
            ("processes", ", ".join(f"{each.program} {each.pid}" for each in tally.processes) or "none that counts"),
        ]
    )
    rows = [(name, f"{rate:.1f}", tally.counts[name]) for name, rate in list(rates.items())[:_SHOWN]]
    return Group(head, table(("WHAT", "A SECOND", "IN ALL"), rows, right=("A SECOND", "IN ALL")))
