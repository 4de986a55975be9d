"""``flask coatcheck``: what an administrator asks the client of an application. No command prints a token or data."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
import flask
from flask.cli import with_appcontext

from coatcheck.admin.reading.handles import LONGEST, among, is_handle, live
from coatcheck.admin.reading.words import clock_time, device, printable
from coatcheck.adopt.origin import ADOPTED_FROM
from coatcheck.errors import CoatcheckError
from coatcheck.store.contract import SessionInfo

if TYPE_CHECKING:
    from coatcheck.client import SessionClient

_Command = TypeVar("_Command", bound=Callable[..., None])

commands = click.Group("coatcheck", help="The sessions that coatcheck keeps for this application.")


def _command(name: str) -> Callable[[_Command], _Command]:
    """A command within the application's context, with ``--json``; what coatcheck raises is said in one line."""

    def register(function: _Command) -> _Command:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> None:
            try:
                function(*arguments, **options)
            except CoatcheckError as error:
                raise click.ClickException(str(error)) from error

        json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
        commands.command(name)(with_appcontext(json_option(run)))
        return function

    return register


@_command("stats")
def stats(*, as_json: bool) -> None:
    """Show counts and sizes."""
    _tell(dataclasses.asdict(_client().stats()), as_json=as_json)


@_command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@click.option("--after", metavar="SID", help="Go on after this one, the last that was listed.")
def list_(limit: int, after: str | None, *, as_json: bool) -> None:
    """Show live sessions, in the order of their sid."""
    if after is not None and not is_handle(after, LONGEST):
        msg = f"{after!r} is no sid: use one of 32 hex digits, as `--json` shows it"
        raise click.BadParameter(msg, param_hint="--after")
    _tell_sessions(_client().scan(after=after, limit=limit), as_json=as_json)


@_command("find")
@click.option("--user", required=True, help="The principal, as `session.login` was given it.")
def find(user: str, *, as_json: bool) -> None:
    """Show the live sessions of a user, oldest first."""
    _tell_sessions(_client().sessions_of(user), as_json=as_json)


@_command("revoke")
@click.argument("handle", required=False)
@click.option("--user", help="All sessions of this principal.")
@click.option("--except", "kept", metavar="HANDLE", help="But this one of them.")
def revoke(handle: str | None, user: str | None, kept: str | None, *, as_json: bool) -> None:
    """End the session with a HANDLE, or those of a --user."""
    if (handle is None) == (user is None) or (kept is not None and user is None):
        msg = "name a HANDLE, or a --user and perhaps the session of theirs to --except"
        raise click.UsageError(msg)
    client = _client()
    if user is None:
        ended = int(client.revoke_sid(live(client, handle or "").sid))
    elif kept is None:
        ended = client.revoke(user)
    else:
        sessions = client.sessions_of(user)
        spared = among(sessions, kept)
        ended = sum(client.revoke_sid(info.sid) for info in sessions if info.sid != spared.sid)
    _tell({"ended": ended}, as_json=as_json)


@_command("adopted")
def adopted(*, as_json: bool) -> None:
    """Count the live sessions that were taken over from another store, by that store."""
    counts = Counter(str(info.meta[ADOPTED_FROM]) for info in _client().scan() if ADOPTED_FROM in info.meta)
    _tell(dict(counts), as_json=as_json)


@_command("sweep")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Entries to look at, at most.")
def sweep(limit: int, *, as_json: bool) -> None:
    """Remove what has expired. Nobody needs to: it happens by itself."""
    _tell(dataclasses.asdict(_client().sweep(limit)), as_json=as_json)


@_command("check")
def check(*, as_json: bool) -> None:
    """Compare every session with every index; exit with 1 when something is wrong."""
    report = _client().check()
    _tell({**dataclasses.asdict(report), "clean": report.clean}, as_json=as_json)
    if not report.clean:
        raise click.exceptions.Exit(1)


def _client() -> SessionClient:
    client: SessionClient = flask.current_app.extensions["coatcheck"].client
    return client


def _tell_sessions(sessions: Iterable[SessionInfo], *, as_json: bool) -> None:
    if as_json:
        for info in sessions:
            click.echo(json.dumps({"handle": info.handle, **dataclasses.asdict(info)}, default=str))
        return
    for info in sessions:
        who = f"{printable(info.principal or '-')}  {device(info.meta)}".rstrip()
        click.echo(f"{info.handle}  {clock_time(info.last_seen_at)}  {info.size:>6} B  {who}")


def _tell(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, default=str))
        return
    for name, value in values.items():
        click.echo(f"{name}: {value}")
