"""``coatcheck list``: live sessions, page by page."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.admin.listing import show_sessions
from coatcheck.admin.parameters import DURATION, MOMENT, PAIR, USER
from coatcheck.admin.reading.rows import session_rows
from coatcheck.admin.reading.sessions import Filters, Page, page
from coatcheck.admin.tool import Tool, tool_command


@tool_command("list")
@click.option("--user", type=USER, help="Of this user (by the index: fast).")
@click.option("--state", type=click.Choice(["signed-in", "anonymous"]))
@click.option("--idle-for", type=DURATION, help="Not used for at least so long.")
@click.option("--used-within", type=DURATION, help="Used within so long.")
@click.option(
    "--since", "created_after", type=MOMENT, help="Created then or later: a time (UTC), or 2h for so long ago."
)
@click.option("--before", "created_before", type=MOMENT, help="Created before.")
@click.option("--ends-within", type=DURATION, help="To end within so long if not used.")
@click.option("--larger-than", "size_over", type=click.IntRange(0), help="With more bytes than that.")
@click.option("--device", help="With this text in label, IP or user agent.")
@click.option("--meta", type=PAIR, multiple=True, help="With this text in a value of meta; ip may be a network.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Sessions on a page.")
@click.option("--after", "cursor", metavar="CURSOR", help="The next page, as the one before says.")
@click.option("--budget", type=click.FloatRange(0), default=2.0, show_default=True, help="Seconds to search at most.")
def command(tool: Tool, **options: Any) -> None:
    """Live sessions in the order of their sid, page by page.

    All filters that are given have to fit. Only --user has an index; with others sessions are looked at one after the
    other until the page is full or the time is over, and then it says where to go on.
    """
    meta, cursor, limit, budget = (options.pop(name) for name in ("meta", "cursor", "limit", "budget"))
    try:
        filters = Filters(meta=dict(meta), **options)
        with tool.client() as client:
            found = page(client, cursor=cursor, limit=limit, filters=filters, budget=budget)
            now = client.clock.now()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    values = {
        "sessions": session_rows(found.sessions),
        "next": found.next_cursor,
        "scanned": found.scanned,
        "stopped_at": found.stopped_at,
    }
    tool.tell(values, lambda: _show(found, now))


def _show(found: Page, now: int) -> None:
    show_sessions(found.sessions, now)
    if found.stopped_at is not None:
        text = f"stopped after {found.scanned} sessions, as the time was over; go on with --after {found.next_cursor}"
        click.echo(text, err=True)
    elif found.next_cursor is not None:
        click.echo(f"there are more: --after {found.next_cursor}", err=True)
    elif not found.sessions:
        click.echo("no session fits", err=True)
