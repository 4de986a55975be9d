"""``coatcheck erase --user U``: a user's sessions end, and the name leaves the audit."""

from __future__ import annotations

from dataclasses import asdict

import click

from coatcheck.acting import acting_as
from coatcheck.admin.parameters import USER
from coatcheck.admin.reading.people import erase
from coatcheck.admin.reading.rings import store_of
from coatcheck.admin.reading.words import printable
from coatcheck.admin.tool import Tool, tool_command


@tool_command("erase")
@click.option("--user", type=USER, required=True, help="The principal, as the application gave it to login.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--by", metavar="NAME", help="Who does it, for the audit (default: you).")
def command(tool: Tool, user: str, *, yes: bool, by: str | None) -> None:
    """End all sessions of a user, and take the name and all details out of the audit events (GDPR article 17).

    What happened to which session, and when, stays. What was erased may be in free pages of the data file until
    'compact', and is in backups. It can be given again, and then finishes what was interrupted.
    """
    if not yes:
        click.confirm(f"Erase all that is kept about {printable(user)!r}?", abort=True, err=True)
    with tool.client() as client, acting_as(by or tool.by):
        try:
            done = erase(client, user)
            store_of(client).note_action("erased", sessions=done.sessions, events=done.events)
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    def show() -> None:
        click.echo(f"{done.sessions} sessions ended, {done.events} audit events do not name the user any more")
        click.echo("  -> backups still have it; 'compact', with everything stopped, clears free pages of the data file")

    tool.tell(asdict(done), show)
