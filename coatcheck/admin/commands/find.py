"""``coatcheck find --user U``: what is open in a user's name, from where, and why earlier sessions ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from coatcheck.admin.listing import show_sessions
from coatcheck.admin.parameters import USER
from coatcheck.admin.reading.people import Person, person
from coatcheck.admin.reading.rows import device_row, session_rows
from coatcheck.admin.reading.story import ended_of
from coatcheck.admin.reading.words import clock_time, moment, printable
from coatcheck.admin.tool import Tool, tool_command

if TYPE_CHECKING:
    from coatcheck.admin.reading.story import Ended


@tool_command("find")
@click.option("--user", type=USER, required=True, help="The principal, as the application gave it to login.")
@click.option("--ended", "most", type=click.IntRange(0), default=10, show_default=True, help="Ended ones to show.")
def command(tool: Tool, user: str, most: int) -> None:
    """The live sessions of a user, their devices, and why earlier sessions ended."""
    with tool.client() as client:
        try:
            found = person(client, user)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        ended = ended_of(client, user)[:most]
        now = client.clock.now()
    values = {
        "user": user,
        "sessions": session_rows(found.sessions),
        "devices": [device_row(each) for each in found.devices],
        "ended": [_row(each) for each in ended],
    }
    tool.tell(values, lambda: _show(found, ended, now))


def _row(ended: Ended) -> dict[str, Any]:
    return {
        "handle": ended.handle,
        "sid": ended.sid,
        "at": moment(ended.at),
        "kind": ended.kind,
        "why": ended.why,
    }


def _show(found: Person, ended: Sequence[Ended], now: int) -> None:
    from coatcheck.admin.rendering import console, table

    if not found.sessions:
        click.echo(f"{printable(found.user)} has no live session")
    show_sessions(found.sessions, now)
    if ended:
        rows = [(each.handle, clock_time(each.at), each.why) for each in ended]
        click.echo()
        console().print(table(("ENDED", "WHEN (UTC)", "WHY"), rows))
    click.echo("\nmore of one: coatcheck show HANDLE; to end one: coatcheck revoke HANDLE", err=True)
