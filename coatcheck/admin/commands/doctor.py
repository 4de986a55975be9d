"""``coatcheck doctor``: what is wrong with the set-up, and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from coatcheck.acting import acting_as
from coatcheck.admin.applications import look_at
from coatcheck.admin.commands.status import exit_code
from coatcheck.admin.doctor import cookies, locks, permissions
from coatcheck.admin.reading.findings import Finding, verdict_of, worst_first
from coatcheck.admin.reading.health import health
from coatcheck.admin.tool import Tool, tool_command


@tool_command("doctor")
@click.option("--app", metavar="MODULE:NAME", help="An application whose cookie to look at; see 'policy'.")
@click.option("--trust-clock", is_flag=True, help="Say that the wall clock is right, so that the sweep goes on.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True, help="Seconds.")
@click.option("--fail-on", type=click.Choice(["critical", "warning"]), default="critical", show_default=True)
def command(tool: Tool, app: str | None, *, trust_clock: bool, timeout: float, fail_on: str) -> int:
    """Find what is wrong with the set-up, and say what to do about it.

    All that 'status' finds, and: files that others can read or that are another user's, locks that are held by what is
    stopped or none of coatcheck's, leftovers, and with --app an unsafe cookie. Changes nothing, but for --trust-clock.
    Exit codes are those of 'status'.
    """
    settings = tool.settings
    if trust_clock:
        with tool.store(any_keys=True) as store, acting_as(tool.by):
            store.trust_clock()
            store.note_action("clock_trusted")
    found: list[Finding] = [*health(settings, timeout).findings]
    found += permissions.findings(settings.home)
    found += locks.findings(settings.home)
    found += cookies.in_environment(os.environ)
    if app is not None:
        found += cookies.findings(look_at(app))
    ordered = worst_first(found)
    verdict = verdict_of(ordered)
    values = {"home": str(settings.home), "verdict": verdict, "findings": [asdict(each) for each in ordered]}
    tool.tell(values, lambda: _show(ordered))
    return exit_code(verdict, fail_on)


def _show(found: tuple[Finding, ...]) -> None:
    from coatcheck.admin.rendering import console, show_findings

    show_findings(console(), found)
    if not [each for each in found if each.severity != "info"]:
        click.echo("nothing is wrong")
