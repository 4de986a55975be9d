"""``coatcheck reseal``: everything under the newest encryption key."""

from __future__ import annotations

from dataclasses import asdict

import click

from coatcheck.admin import exits
from coatcheck.admin.tool import Tool, tool_command


@tool_command("reseal")
@click.option("--end-unreadable", is_flag=True, help="End sessions that cannot be opened, as their key is lost.")
def command(tool: Tool, *, end_unreadable: bool) -> int:
    """Seal everything under the newest encryption key, beside whoever uses the store.

    Afterwards the older keys can go, unless it says otherwise. Exit code 8: something could not be opened.
    """
    with tool.store(any_keys=end_unreadable) as store:
        report = store.reseal(end_unreadable=end_unreadable)

    def show() -> None:
        click.echo(f"{report.sessions} sessions and {report.events} audit events are sealed anew")
        if end_unreadable:
            click.echo(f"{report.ended} sessions are ended, which cannot be opened")
        if report.unreadable:
            click.echo(f"{report.unreadable} sessions and audit events cannot be opened: see 'check'")
        click.echo(f"keys that are needed from now on: {' '.join(report.keys)}")

    tool.tell(asdict(report), show)
    return exits.UNSOUND if report.unreadable else exits.DONE
