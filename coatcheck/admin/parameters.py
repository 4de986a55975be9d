"""What options mean: durations, moments, handles and users, with what a shell can complete."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from coatcheck.client import SessionClient

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # older ones are not generic

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_OFFERED: Final = 20
_LOOKED_AT: Final = 500


def seconds_of(text: str) -> float | None:
    """``90``, ``30m``, ``1h30m``, ``2d`` as seconds; None for what is no duration."""
    total, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] not in {"", *_UNITS} or (not part[2] and part[0] != text):
            return None
        total += float(part[1]) * _UNITS.get(part[2], 1)
        position = part.end()
    return total if text else None


class Duration(_Type):
    """Seconds, given as ``90``, ``30m``, ``1h30m``, ``2d`` or ``1w``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As a number of seconds."""
        if not isinstance(value, str):
            return value
        seconds = seconds_of(value.lower())
        if seconds is None:
            self.fail(f"{value!r} is no duration: use 90 (seconds), 30m, 1h30m, 2d or 1w", param, ctx)
        return seconds


class Moment(_Type):
    """Microseconds UTC, given as a time in ISO 8601 (UTC unless it says otherwise), or as a duration ago."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As microseconds UTC."""
        if not isinstance(value, str):
            return value
        ago = seconds_of(value.lower())
        if ago is not None:
            return round((datetime.now(timezone.utc).timestamp() - ago) * 1_000_000)
        try:
            when = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            self.fail(
                f"{value!r} is no time: use 2026-11-25, 2026-11-25T04:30 (UTC), or 2h for two hours ago", param, ctx
            )
        when = when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when
        return round(when.timestamp() * 1_000_000)


class Handle(_Type):
    """A session, by the first 8 or more hex digits of its sid."""

    name = "handle"

    def shell_complete(self, ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The live sessions that begin so."""
        from coatcheck.admin.reading.handles import beginning_with, shortened

        offered: list[CompletionItem] = []
        with suppress(Exception), _client_of(ctx) as client:
            found = list(islice(beginning_with(client, incomplete or "0") if incomplete else client.scan(), _OFFERED))
            names = shortened(info.sid for info in found)
            offered = [CompletionItem(names[info.sid], help=info.principal or "nobody") for info in found]
        return offered


class User(_Type):
    """The principal of sessions, as the application has given it to ``login``."""

    name = "user"

    def shell_complete(self, ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Users among the first sessions: there is no list of all names."""
        names: set[str] = set()
        with suppress(Exception), _client_of(ctx) as client:
            names = {info.principal for info in islice(client.scan(), _LOOKED_AT) if info.principal}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)][:_OFFERED]


class Pair(_Type):
    """``NAME=VALUE``."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As a pair."""
        if not isinstance(value, str):
            return value
        name, equals, text = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is no NAME=VALUE", param, ctx)
        return name, text


DURATION: Final = Duration()
MOMENT: Final = Moment()
HANDLE: Final = Handle()
USER: Final = User()
PAIR: Final = Pair()


def _client_of(ctx: click.Context) -> SessionClient:
    from coatcheck.admin.opening import client_for
    from coatcheck.settings import Settings

    return client_for(Settings.load(ctx.params.get("home") or ctx.find_root().params.get("home")))
