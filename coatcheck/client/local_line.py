"""A manager inside this process: for tests, and for whoever wants its verbs without any processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from coatcheck.actors.desk import Desk, Later
from coatcheck.actors.verbs import Verbs
from coatcheck.errors import RequestTimeout
from coatcheck.messages import Reply, Request
from coatcheck.system.payload import read, sender_of, write

if TYPE_CHECKING:
    from coatcheck.settings import Settings


_HERE: Final = sender_of("localhost", 0)


class LocalLine:
    """The manager's desk, reached as through the wire: each message is packed, and read again by the same rules."""

    def __init__(self, settings: Settings) -> None:
        self._verbs = Verbs(settings)
        self.desk = Desk("SessionManager", self._verbs.handlers)
        """What the manager's actor has."""

    def call(self, request: Request, deadline: float, *, repeatable: bool) -> Reply:  # noqa: ARG002 - nothing is lost
        """The reply, at once. Raises RequestTimeout for a request that came too late."""
        if not self._verbs.ready:
            self._verbs.open()
        arrived: Request = read(write(_HERE, request))[1]
        outcome = self.desk.take(arrived)
        if isinstance(outcome, Later):
            outcome = self.desk.answer(arrived, self.desk.resume(arrived, outcome))
        if outcome is None:
            msg = "the request came after its deadline"
            raise RequestTimeout(msg, timeout=max(0.0, deadline - time.monotonic()))
        reply: Reply = read(write(_HERE, outcome))[1]
        return reply

    def close(self) -> None:
        """Close the store."""
        self._verbs.close()
