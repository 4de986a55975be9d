"""``coatcheck backup DIR``: a copy of the store, while everything runs."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.acting import acting_as
from coatcheck.admin.reading.words import size
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store import files
from coatcheck.store.progress import Progress


@tool_command("backup")
@click.argument("directory", type=click.Path(path_type=Path))
def command(tool: Tool, directory: Path) -> None:
    """Copy the store into DIRECTORY, which is new or empty, while everything runs.

    The copy is a state directory of one moment, and there as a whole or not at all. It holds the server's secret where
    that is a file: guard it like the store. The encryption keys are not in it.
    """
    from coatcheck.admin.rendering import bar

    progress = Progress()
    with tool.store(any_keys=True) as store, acting_as(tool.by), bar(progress, shown=not tool.as_json):
        store.backup(directory, progress=progress)
    written = (directory / files.DATA).stat().st_size
    with_secret = (directory / files.SECRET).exists()
    values = {"backup": str(directory.absolute()), "bytes": written, "secret": with_secret}
    tool.tell(values, lambda: _show(directory, written, with_secret=with_secret))


def _show(directory: Path, written: int, *, with_secret: bool) -> None:
    guard = "guard it, it holds the secret" if with_secret else "its secret is elsewhere: keep that, too"
    click.echo(f"{size(written)} are in {directory.absolute()}: {guard}")
    click.echo(f"  -> to go back, with everything stopped: coatcheck restore {directory.absolute()}")
