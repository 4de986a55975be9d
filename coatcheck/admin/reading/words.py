"""Times, sizes and names as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from coatcheck.clock import NEVER, SECOND

DEVICE: Final = ("label", "ip", "user_agent")
"""What an application may note about the device of a session, in ``meta``."""

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


def moment(microseconds: int) -> str | None:
    """A time (microseconds UTC) in ISO 8601, such as ``2026-11-25T04:34:00.250000+00:00``; None for never."""
    if microseconds == NEVER:
        return None
    seconds, rest = divmod(microseconds, SECOND)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest).isoformat()


def clock_time(microseconds: int) -> str:
    """The same for a line that people read: ``2026-11-25 04:34:00`` (UTC), or ``never``."""
    if microseconds == NEVER:
        return "never"
    return datetime.fromtimestamp(microseconds // SECOND, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Seconds in at most two units: ``2 d 3 h``, ``41 min``, ``0.2 s``; None is ``no limit``."""
    if seconds is None:
        return "no limit"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != int(seconds) else f"{seconds:.0f} s"
    rest, parts = int(seconds), []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    if rest:
        parts.append(f"{rest} s")
    return " ".join(parts[:2])


def size(count: int) -> str:
    """Bytes: ``512 B``, ``3.4 KiB``, ``64 GiB``."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(number) < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if number >= 10 or number == int(number) else f"{number:.1f} {unit}"


def printable(text: str) -> str:
    """Without control characters: a browser can call itself what it likes, and a terminal obeys."""
    return "".join(each if each.isprintable() else "?" for each in text)


def device(meta: Mapping[str, Any]) -> str:
    """What is known of the device of a session, in one line that any terminal may be given."""
    return printable(" ".join(str(meta[key]) for key in DEVICE if meta.get(key)))
