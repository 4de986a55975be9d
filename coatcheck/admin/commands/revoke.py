"""``coatcheck revoke``: ends sessions, and the audit says who did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coatcheck.acting import acting_as
from coatcheck.admin.parameters import HANDLE, USER
from coatcheck.admin.reading.handles import among, live
from coatcheck.admin.tool import Tool, tool_command

if TYPE_CHECKING:
    from coatcheck.client import SessionClient


@tool_command("revoke")
@click.argument("handle", type=HANDLE, required=False)
@click.option("--user", type=USER, help="All sessions of this user.")
@click.option("--except", "kept", metavar="HANDLE", type=HANDLE, help="But this one of them.")
@click.option("--by", metavar="NAME", help="Who does it, for the audit (default: you).")
def command(tool: Tool, handle: str | None, user: str | None, kept: str | None, by: str | None) -> None:
    """End the session with a HANDLE, or those of a --user (ASVS 7.4.5).

    The next request with its cookie finds no session, on any worker; nothing brings it back. Exit code 1: no live
    session fits, or several do; then nothing was ended.
    """
    if (handle is None) == (user is None) or (kept is not None and user is None):
        msg = "name a HANDLE, or a --user and perhaps the session of theirs to --except"
        raise click.UsageError(msg)
    with tool.client() as client, acting_as(by or tool.by):
        if handle is not None:
            ended = int(client.revoke_sid(live(client, handle).sid))
        elif user is not None:
            try:
                ended = client.revoke(user) if kept is None else _others(client, user, kept)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
    tool.tell({"ended": ended}, lambda: click.echo(f"{ended} session{'' if ended == 1 else 's'} ended"))


def _others(client: SessionClient, user: str, kept: str) -> int:
    sessions = client.sessions_of(user)
    spared = among(sessions, kept)
    return sum(client.revoke_sid(info.sid) for info in sessions if info.sid != spared.sid)
