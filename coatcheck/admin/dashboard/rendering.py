"""Templates: one environment, everything escaped, and the words and figures that pages show."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from coatcheck.admin.dashboard import wording
from coatcheck.clock import NEVER, SECOND

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def environment() -> Environment:
    """The templates of this folder."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=number, decimal=decimal, size=size, lasting=lasting, when=when, moment=moment, plural=plural
    )
    made.globals.update(asset=asset, facts=facts, means=wording.event, device=wording.device, address=wording.address)
    return made


@cache
def asset(name: str) -> str:
    """The address of a file in static/, which changes when its content does: browsers may keep it for a year."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def number(value: float | None) -> str:
    """1,234,567; a dash where there is none."""
    return "–" if value is None else f"{value:,.0f}"  # noqa: RUF001 - a dash is a dash


def decimal(value: float | None) -> str:
    """Three figures that matter: 0.012, 1.23, 45.6, 1,234."""
    if value is None:
        return number(None)
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def size(value: float) -> str:
    """Bytes, in the unit that suits."""
    unit = 0
    while abs(value) >= 1000 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:,.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"


def lasting(seconds: float | None) -> str:
    """A span of time, in its two largest units."""
    if seconds is None:
        return number(None)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds > 0 else "0 s"
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    while not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def about(seconds: float) -> str:
    """A span of time without what does not matter beside it: seconds beside five minutes, minutes beside a day."""
    coarse = 60 if seconds >= 300 else 1
    coarse = 3600 if seconds >= 86400 else coarse
    return lasting(seconds // coarse * coarse)


def plural(count: float, one: str, many: str | None = None) -> str:
    """``3 sessions``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def when(at: int | None) -> Markup:
    """Microseconds UTC as a span from now: ``3 min ago``, ``in 2 h``; pointing at it shows the moment."""
    if at is None:
        return Markup("–")  # noqa: RUF001
    if at >= NEVER:
        return Markup("never")
    distance = time.time() - at / SECOND
    # A touch is stored by a clock that may be a little ahead of this page's.
    text = f"{about(abs(distance))} ago" if distance >= 1 else "now" if distance > -1 else f"in {about(-distance)}"
    return _time(at, text, "rel")


def moment(at: int | None) -> Markup:
    """Microseconds UTC as date and time, in UTC."""
    if at is None:
        return Markup("–")  # noqa: RUF001
    if at >= NEVER:
        return Markup("never")
    return _time(at, f"{_date(at):%Y-%m-%d %H:%M:%S}", "")


def _time(at: int, text: str, kind: str) -> Markup:
    when = _date(at)
    marked = Markup(' data-rel=""') if kind else Markup("")
    return Markup('<time datetime="{0:%Y-%m-%dT%H:%M:%S}Z" title="{0:%Y-%m-%d %H:%M:%S} UTC"{1}>{2}</time>').format(
        _Dated(when), marked, escape(text)
    )


class _Dated:
    """A moment that Markup.format leaves to strftime."""

    def __init__(self, when: datetime) -> None:
        self._when = when

    def __html_format__(self, spec: str) -> Markup:
        return Markup(self._when.strftime(spec))  # noqa: S704 - digits and what the pattern has


def _date(at: int) -> datetime:
    try:
        return datetime.fromtimestamp(at / SECOND, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=timezone.utc)


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What somebody else has counted or noted, as names and text, in its order; nested names are joined by dots."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{inner}", text) for inner, text in facts(value)]
        elif isinstance(value, bool) or value is None:
            found.append((name, {True: "yes", False: "no", None: number(None)}[value]))
        elif isinstance(value, (int, float)):
            found.append((name, decimal(value) if isinstance(value, float) else number(value)))
        else:
            found.append((name, str(value)))
    return found
