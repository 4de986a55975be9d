"""``flask coatcheck``: what an administrator asks the client of an application. No command prints a token or data."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import flask
from flask.cli import with_appcontext

from coatcheck.adopt.origin import ADOPTED_FROM
from coatcheck.clock import SECOND
from coatcheck.errors import CoatcheckError
from coatcheck.store.contract import SessionInfo

if TYPE_CHECKING:
    from coatcheck.client import SessionClient

SHORTEST_HANDLE: Final = 8
"""Hex digits of a handle; more where they fit several sessions."""

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
    if after is not None and not _is_hex(after, 32):
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
        ended = int(client.revoke_sid(_one(_beginning_with(client, handle or ""), handle or "").sid))
    elif kept is None:
        ended = client.revoke(user)
    else:
        sessions = client.sessions_of(user)
        spared = _one([info for info in sessions if _fits(info, kept)], kept)
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


def _beginning_with(client: SessionClient, handle: str) -> list[SessionInfo]:
    """At most two live sessions whose sid begins so."""
    if not _is_hex(handle, SHORTEST_HANDLE):
        return []
    # One before the first that can be meant, for the scan begins behind it.
    first = int(handle.ljust(32, "0"), 16)
    sessions = client.scan(after=None if first == 0 else f"{first - 1:032x}")
    return [info for info in islice(sessions, 2) if _fits(info, handle)]


def _fits(info: SessionInfo, handle: str) -> bool:
    return _is_hex(handle, SHORTEST_HANDLE) and info.sid.startswith(handle.lower())


def _is_hex(text: str, shortest: int) -> bool:
    return shortest <= len(text) <= 32 and not set(text.lower()) - set("0123456789abcdef")


def _one(found: list[SessionInfo], handle: str) -> SessionInfo:
    if len(found) == 1:
        return found[0]
    fits = "several live sessions fit" if found else "no live session fits"
    msg = f"{fits} {handle!r}: use {SHORTEST_HANDLE} to 32 hex digits of a sid, as `list` and `find` show them"
    raise click.ClickException(msg)


def _tell_sessions(sessions: Iterable[SessionInfo], *, as_json: bool) -> None:
    if as_json:
        for info in sessions:
            click.echo(json.dumps({"handle": info.handle, **dataclasses.asdict(info)}, default=str))
        return
    for info in sessions:
        seen = datetime.fromtimestamp(info.last_seen_at // SECOND, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        device = " ".join(str(info.meta[key]) for key in ("label", "ip", "user_agent") if info.meta.get(key))
        who = _printable(f"{info.principal or '-'}  {device}".rstrip())
        click.echo(f"{info.handle}  {seen}  {info.size:>6} B  {who}")


def _tell(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, default=str))
        return
    for name, value in values.items():
        click.echo(f"{name}: {value}")


def _printable(text: str) -> str:
    """Without control characters: a browser can call itself what it likes, and a terminal obeys."""
    return "".join(each if each.isprintable() else "?" for each in text)
