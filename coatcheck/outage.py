"""While the store cannot be asked: what a session may go on without, and how often that is said.

``on_outage`` decides. Whatever it says, an outage touches no cookie, and what would be unsafe to go without raises: a
login that binds nobody, a logout that ends nothing, a token that is not replaced.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.tracking import UNSET

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.errors import StoreUnavailable
    from coatcheck.tracking import Pending

PAUSE: Final = 60
"""Seconds between two lines about outages in the log of a process."""

_log = logging.getLogger("coatcheck")


def may_be_dropped(pending: Pending | None) -> bool:
    """Whether these changes may be lost in an outage without anybody taking them for done.

    False for a login, a logout and a new token, and where keys are removed: applications sign people out that way too.
    A login of somebody who is remembered may be lost: the next request does it again.
    """
    return pending is None or not (
        (pending.login is not None and not pending.login.remembered)
        or pending.logged_out is not None
        or pending.rotation is not None
        or pending.cleared
        or UNSET in pending.keys.values()
    )


class OutageLog:
    """Says what sessions went on without, once in :data:`PAUSE` seconds."""

    __slots__ = ("_clock", "_due", "_untold")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = 0
        self._untold = 0

    def tell(self, error: StoreUnavailable, policy: str) -> None:
        """One more session that did."""
        now = self._clock.boottime()
        self._untold += 1
        if now < self._due:
            return
        self._due = now + PAUSE * SECOND
        count, self._untold = self._untold, 0
        _log.warning("the store cannot be asked; on_outage=%s, %d times since last said: %s", policy, count, error)
