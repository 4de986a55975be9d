"""How long a session lives: idle (sliding), absolute, and how often a touch is stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from coatcheck.clock import NEVER, microseconds

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0


@dataclass(frozen=True)
class Lifetimes:
    """The lifetimes of one session, in seconds (ASVS 7.3.1 and 7.3.2).

    A session is live while ``now < min(last_seen + idle, start + absolute)``; ``start`` is its creation or, later,
    its login. ``None`` means: no such limit.
    """

    idle: float | None = 30 * MINUTE
    """Seconds without use after which the session ends; default 1800."""

    absolute: float | None = 24 * HOUR
    """Seconds after creation or login at which it ends in any case; default 86400."""

    touch_interval: float | None = None
    """Seconds between two stored touches; default ``min(60, idle / 20)``."""

    def __post_init__(self) -> None:
        """Raise ValueError for a lifetime that is not a positive, finite number."""
        for name in ("idle", "absolute", "touch_interval"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                msg = f"{name} must be a number of seconds or None, not {type(value).__name__}"
                raise TypeError(msg)
            if not math.isfinite(value) or (value < 0 if name == "touch_interval" else value <= 0):
                msg = f"{name} must be a positive number of seconds, or None for no limit; got {value!r}"
                raise ValueError(msg)
            if value > 100 * 366 * DAY:
                msg = f"{name} of more than a hundred years: use None for no limit"
                raise ValueError(msg)
        if self.touch_interval is None:
            object.__setattr__(self, "touch_interval", min(60.0, self.idle / 20) if self.idle else 60.0)
        elif self.idle is not None and self.touch_interval >= self.idle:
            msg = f"touch_interval {self.touch_interval!r} must be shorter than idle {self.idle!r}"
            raise ValueError(msg)

    def deadline(self, last_seen: int, started: int) -> int:
        """The moment (microseconds UTC) at which a session ends that was last seen and started then."""
        ends = NEVER
        if self.idle is not None:
            ends = last_seen + microseconds(self.idle)
        if self.absolute is not None:
            ends = min(ends, started + microseconds(self.absolute))
        return ends


ANONYMOUS: Final = Lifetimes(idle=30 * MINUTE, absolute=4 * HOUR)
"""Default of a session without a principal."""

SIGNED_IN: Final = Lifetimes(idle=30 * MINUTE, absolute=24 * HOUR)
"""Default of a session bound to a principal."""

PRESETS: Final = {
    "anonymous": ANONYMOUS,
    "signed-in": SIGNED_IN,
    "nist-aal1": Lifetimes(idle=None, absolute=30 * DAY),
    "nist-aal2": Lifetimes(idle=1 * HOUR, absolute=24 * HOUR),
    "nist-aal3": Lifetimes(idle=15 * MINUTE, absolute=12 * HOUR),
    "remember-me": Lifetimes(idle=14 * DAY, absolute=90 * DAY),
}
"""Named lifetimes; the ``nist-`` ones follow NIST SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3."""


def preset(name: str) -> Lifetimes:
    """The lifetimes of that name. Raises ValueError that lists the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        msg = f"unknown lifetimes {name!r}: use one of {', '.join(sorted(PRESETS))}"
        raise ValueError(msg) from None
