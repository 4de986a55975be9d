"""``manage.py coatcheck``: what the store of this project has, and what an administrator does with it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from coatcheck.admin.reading.handles import live
from coatcheck.clock import NEVER, SECOND
from coatcheck.django.config import get_client
from coatcheck.django.users import principal_of
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from coatcheck.store.contract import SessionInfo


class Command(BaseCommand):
    """``stats``, ``list``, ``revoke``, ``adopted``, ``sweep`` and ``check``."""

    help = "Looks after the sessions that coatcheck keeps for this project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The sub-commands."""
        parser.add_argument("--json", action="store_true", help="for programs instead of people")
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("stats", help="how many sessions there are, and how big the store is")
        listing = verbs.add_parser("list", help="the sessions of one user, or of all")
        listing.add_argument("--user", help="a user name")
        listing.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
        revoking = verbs.add_parser("revoke", help="end sessions")
        which = revoking.add_mutually_exclusive_group(required=True)
        which.add_argument("--user", help="all of a user, by name")
        which.add_argument("--handle", help="one, by the first 8 or more characters of its id, as list shows them")
        verbs.add_parser("adopted", help="how many live sessions have moved in, from each source")
        verbs.add_parser("sweep", help="remove what has expired")
        verbs.add_parser("check", help="compare all records with all indexes")

    def handle(self, *_: Any, **options: Any) -> None:
        """Call the verb. Raises CommandError for what went wrong."""
        verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "stats": _stats,
            "list": _list,
            "revoke": _revoke,
            "adopted": _adopted,
            "sweep": _sweep,
            "check": _check,
        }
        try:
            answer = verbs[options["verb"]](options)
        except CoatcheckError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer))
        else:
            self.stdout.write("\n".join(_lines(answer)))
        if answer.get("problems"):
            msg = f"{len(answer['problems'])} problems found"
            raise CommandError(msg)


def _stats(_: dict[str, Any]) -> dict[str, Any]:
    stats = get_client().stats()
    return {
        "sessions": stats.sessions,
        "signed_in": stats.principals,
        "due": stats.due,
        "used_bytes": stats.used_bytes,
        "map_bytes": stats.map_bytes,
        "durability": stats.durability,
    }


def _list(options: dict[str, Any]) -> dict[str, Any]:
    client = get_client()
    limit = options["limit"]
    found: Iterable[SessionInfo] = client.scan(limit=limit)
    if options["user"]:
        found = islice(client.sessions_of(principal_of(_user(options["user"]))), limit)
    return {"sessions": [_row(info) for info in found]}


def _revoke(options: dict[str, Any]) -> dict[str, Any]:
    client, handle = get_client(), options["handle"]
    if options["user"]:
        return {"ended": client.revoke(principal_of(_user(options["user"])))}
    return {"ended": int(client.revoke_sid(live(client, handle).sid))}


def _adopted(_: dict[str, Any]) -> dict[str, Any]:
    return dict(Counter(info.meta["adopted_from"] for info in get_client().scan() if "adopted_from" in info.meta))


def _sweep(_: dict[str, Any]) -> dict[str, Any]:
    removed, client = 0, get_client()
    while True:
        report = client.sweep()
        removed += report.removed
        if report.held:
            msg = "nothing is swept, as the wall clock has jumped: it begins again after ten minutes of agreement"
            raise CommandError(msg)
        if not report.more:
            return {"removed": removed}


def _check(_: dict[str, Any]) -> dict[str, Any]:
    report = get_client().check()
    problems = [f"{each.kind} in {each.where}: {each.detail}" for each in report.problems]
    return {"checked": report.sessions, "entries": report.entries, "problems": problems}


def _user(name: str) -> Any:
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)  # noqa: SLF001 - documented by Django
    except model.DoesNotExist:
        msg = f"there is no user named {name!r}"
        raise CommandError(msg) from None


def _row(info: SessionInfo) -> dict[str, Any]:
    return {
        "handle": info.handle,
        "user": info.principal,
        "created": _moment(info.created_at),
        "last_seen": _moment(info.last_seen_at),
        "expires": None if info.expires_at == NEVER else _moment(info.expires_at),
        "bytes": info.size,
        "ip": info.meta.get("ip"),
        "user_agent": info.meta.get("user_agent"),
    }


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // SECOND, timezone.utc).isoformat()


def _lines(answer: dict[str, Any]) -> Iterable[str]:
    for name, value in answer.items():
        if not isinstance(value, list):
            yield f"{name}: {value}"
            continue
        yield f"{name}: {len(value)}"
        for row in value:
            pairs = row.items() if isinstance(row, dict) else ()
            yield "  " + ("  ".join(f"{key}={each}" for key, each in pairs if each is not None) or row)
