"""``coatcheck policy``: the session policy in words, for an auditor."""

from __future__ import annotations

import click

from coatcheck.admin.applications import Application, look_at
from coatcheck.admin.reading.policy import STANDARDS, as_markdown, as_rows, clauses, in_force
from coatcheck.admin.reading.words import moment
from coatcheck.admin.tool import Tool, tool_command


@tool_command("policy")
@click.option("--app", metavar="MODULE:NAME", help="An application to read lifetimes and cookie rules from.")
@click.option("--markdown", is_flag=True, help="The document, to be filed.")
def command(tool: Tool, app: str | None, *, markdown: bool) -> None:
    """The session policy in words, with the numbers of ASVS 5.0 and NIST SP 800-63B-4 (ASVS 7.1.1).

    It is made from what is in force: the limits in the store, the lifetimes of its live sessions, the settings of this
    environment. The lifetimes and the cookie rules of an application are read from it with --app: a Flask, WSGI or ASGI
    application as MODULE:NAME, a Django project as MODULE (its settings).
    """
    found = None if app is None else look_at(app)
    settings = tool.settings if found is None or found.settings is None else found.settings
    with tool.store(any_keys=True) as store:
        now = moment(store.clock.now())
        told = clauses(in_force(store, settings, **_known(found)))
    if tool.as_json:
        tool.tell_json({"home": str(tool.settings.home), "at": now, "standards": STANDARDS, "clauses": as_rows(told)})
        return
    document = as_markdown(str(tool.settings.home), str(now), told)
    if markdown:
        click.echo(document)
        return
    from rich.markdown import Markdown

    from coatcheck.admin.rendering import console

    console().print(Markdown(document))


def _known(found: Application | None) -> dict[str, object]:
    return {} if found is None else {"cookie": found.cookie, "application": found.name}
