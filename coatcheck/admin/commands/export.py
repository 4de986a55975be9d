"""``coatcheck export --user U``: all that is kept about a user."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from coatcheck.acting import acting_as
from coatcheck.admin.parameters import USER
from coatcheck.admin.reading.people import export
from coatcheck.admin.reading.rings import store_of
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.files import create_private, explained


@tool_command("export")
@click.option("--user", type=USER, required=True, help="The principal, as the application gave it to login.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A new file, for you alone (0600).")
@click.option("--by", metavar="NAME", help="Who does it, for the audit (default: you).")
def command(tool: Tool, user: str, output: Path | None, by: str | None) -> None:
    """All that is kept about a user, as JSON: sessions with their data, devices, audit events (GDPR 15 and 20).

    It has the user's data in it: hand it to nobody else. It has no token.
    """
    with tool.client() as client, acting_as(by or tool.by):
        try:
            found = export(client, user)
            store_of(client).note_action("exported", principal=user, sessions=len(found["sessions"]))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    text = json.dumps(found, ensure_ascii=False, indent=None if tool.as_json else 2)
    if output is None:
        click.echo(text)
        return
    try:
        descriptor = create_private(output)
    except FileExistsError:
        msg = f"{output} is there already: name a new file"
        raise click.UsageError(msg) from None
    except OSError as error:
        raise explained(error, output) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    counts = {"output": str(output.absolute()), "sessions": len(found["sessions"]), "events": len(found["events"])}
    said = f"{counts['sessions']} sessions and {counts['events']} events are in {counts['output']}"
    tool.tell(counts, lambda: click.echo(said))
