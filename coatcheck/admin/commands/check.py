"""``coatcheck check``: every record against every index."""

from __future__ import annotations

from dataclasses import asdict

import click

from coatcheck.admin import exits
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.contract import CheckReport
from coatcheck.store.progress import Progress

_SHOWN = 20


@tool_command("check")
def command(tool: Tool) -> int:
    """Compare every record with every index, in one snapshot, beside whoever uses the store.

    Exit code 0: sound; 8: something does not fit, and it says what and where.
    """
    from coatcheck.admin.rendering import bar

    progress = Progress()
    with tool.store() as store, bar(progress, shown=not tool.as_json):
        report = store.check(progress=progress)
    tool.tell({"clean": report.clean, **asdict(report)}, lambda: _show(report))
    return exits.DONE if report.clean else exits.UNSOUND


def _show(report: CheckReport) -> None:
    many = len(report.problems) or "no"
    click.echo(f"{report.sessions} sessions, {report.entries} index entries: {many} problems")
    for key in sorted({*report.sealed, *report.sealed_events}):
        events = report.sealed_events.get(key, 0)
        click.echo(f"  under {key}: {report.sealed.get(key, 0)} sessions, {events} audit events")
    for problem in report.problems[:_SHOWN]:
        click.echo(f"  {problem.kind} at {problem.where}: {problem.detail}")
    if len(report.problems) > _SHOWN:
        click.echo(f"  and {len(report.problems) - _SHOWN} more (--json has them)")
    if report.problems:
        click.echo("  -> restore a backup: coatcheck restore DIR; keep this directory for whoever is to find out why")
