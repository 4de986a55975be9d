"""``coatcheck compact``: free pages go back to the disk."""

from __future__ import annotations

import click

from coatcheck.admin.reading.words import size
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.progress import Progress


@tool_command("compact")
def command(tool: Tool) -> None:
    """Give the free pages of the store back to the disk, while nobody else has it open.

    Needs free disk for a copy. Exit code 6: somebody has the store open (it says who), or there is no room.
    """
    from coatcheck.admin.rendering import bar

    progress = Progress()
    with tool.store(any_keys=True) as store, bar(progress, shown=not tool.as_json):
        before, after = store.compact(progress=progress)
    tool.tell({"before": before, "after": after}, lambda: click.echo(f"{size(before)} before, {size(after)} after"))
