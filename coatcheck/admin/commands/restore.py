"""``coatcheck restore DIR``: a backup takes the place of the store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from coatcheck.acting import acting_as
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.progress import Progress
from coatcheck.store.restore import Restored, restore


@tool_command("restore")
@click.argument("directory", type=click.Path(path_type=Path))
def command(tool: Tool, directory: Path) -> None:
    """Put the backup DIRECTORY in the place of the store, while nobody has it open.

    The store that is there may be damaged or missing. The backup is read as a whole first, and takes its place in one
    step; a backup that is damaged changes nothing. Who has logged out since is signed in again: revoke again where it
    matters. Exit code 6: somebody has the store open; it says who.
    """
    from coatcheck.admin.rendering import bar

    progress = Progress()
    with acting_as(tool.by), bar(progress, shown=not tool.as_json):
        done = restore(tool.settings, directory, progress=progress)
    values = {"home": str(tool.settings.home), **asdict(done)}
    tool.tell(values, lambda: _show(tool.settings.home, directory, done))


def _show(home: Path, directory: Path, done: Restored) -> None:
    click.echo(f"{home} has the {done.sessions} sessions of {directory.absolute()}")
    if done.replaced is not None:
        click.echo(f"the data file that was there is {done.replaced}: remove it when nobody wants it back")
    if done.secret_taken:
        click.echo(f"the secret of the backup was added to {home / 'secret'}")
