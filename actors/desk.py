"""The desk of an actor: what is done with any request, whatever carries it there. Needs no Thespian."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import coatcheck
from coatcheck.clock import SystemClock
from coatcheck.messages import ActorReport, InspectActor, QuietRequest, Reply, Request, RequestFailed
from coatcheck.system.failures import UNRECOGNIZED, is_answer, place_of, reply_of
from coatcheck.system.frames import bad_frames

Handler = Callable[[Any], "Reply | Later | None"]


@dataclass(frozen=True)
class Later:
    """A request that is answered when its work is done, in a thread of the actor's process."""

    queue: str
    """Work of one queue is done in order."""

    work: Callable[[], Reply | None]
    """What the thread does. None: the deadline passed before it had its turn, and nothing was done."""


class Desk:
    """Takes requests, hands them to the handlers, and turns whatever comes of it into a reply. Never raises."""

    def __init__(self, actor: str, handlers: Mapping[type[Request], Handler]) -> None:
        """``actor`` is the name of the actor's class."""
        self.actor = actor
        self.handlers: dict[type[Request], Handler] = {InspectActor: self._report, **handlers}
        self.handled: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.late = 0
        self.unrecognized: Counter[str] = Counter()
        self.last_error: str | None = None
        self.details: Callable[[], Mapping[str, Any]] = dict
        self.children: Callable[[], list[Mapping[str, Any]]] = list
        self._started = time.monotonic()
        self._started_at: Final = SystemClock.now()

    def take(self, request: Request) -> Reply | Later | None:
        """Carry out a request: its reply, None when there is to be none, or work that has to be done first."""
        kind = type(request)
        handler = self.handlers.get(kind)
        if handler is None:
            return self._unknown(request)
        if request.deadline is not None and time.monotonic() > request.deadline:
            # Nobody waits for it, and whoever sent it has been told that it is not known to be done.
            self.late += 1
            return None
        self.handled[kind.__name__] += 1
        try:
            outcome = handler(request)
        except Exception as error:  # noqa: BLE001 - Thespian would run the handler once more
            return self.answer(request, error)
        return outcome if outcome is None or isinstance(outcome, Later) else self.answer(request, outcome)

    def resume(self, request: Request, later: Later) -> Reply | Exception | None:
        """Do the work of a request, in the thread of its queue. None: its deadline passed while it waited."""
        if request.deadline is not None and time.monotonic() > request.deadline:
            return None
        try:
            return later.work()
        except Exception as error:  # noqa: BLE001 - it is the answer
            return error

    def answer(self, request: Request, outcome: Reply | Exception | None) -> Reply | None:
        """The reply to a request that ended like this; None when there is to be none."""
        if outcome is None:
            self.late += 1
            return None
        if isinstance(outcome, Exception):
            self.note(outcome)
            outcome = reply_of(outcome, request.request_id)
        if isinstance(request, QuietRequest) and not request.confirm:
            return None
        return outcome

    def note(self, error: BaseException) -> bool:
        """Count an error; whether it is a mistake that belongs into the log."""
        self.failed[type(error).__name__] += 1
        if is_answer(error):
            return False
        self.last_error = place_of(error)
        return True

    def _unknown(self, message: Request) -> Reply:
        name = type(message).__name__
        self.unrecognized[name] += 1
        text = f"{self.actor} of coatcheck {coatcheck.__version__} does not know {name}"
        return RequestFailed(request_id=message.request_id, kind=UNRECOGNIZED, text=text, evidence={})

    def _report(self, request: InspectActor) -> ActorReport:
        return ActorReport(
            request_id=request.request_id,
            actor=self.actor,
            version=coatcheck.__version__,
            pid=os.getpid(),
            parent_pid=os.getppid(),
            started_at=self._started_at,
            uptime=time.monotonic() - self._started,
            handled=dict(self.handled),
            failed=dict(self.failed),
            late=self.late,
            unrecognized=sum(self.unrecognized.values()),
            last_error=self.last_error,
            details={"dropped_frames": bad_frames.total, **self.details()},
            children=self.children(),
        )
