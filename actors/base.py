"""What every actor of coatcheck has in common: the part that needs Thespian.

Thespian runs a handler a second time when it raises, forgets messages that have no handler, cannot cancel a timer, and
leaves an actor alive whose parent is gone. Here nothing that a handler raises gets out, every request is answered,
there is one timer, and an actor ends with its parent.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from thespian.actors import (
    ActorExitRequest,
    ActorSystemMessage,
    ActorTypeDispatcher,
    PoisonMessage,
    WakeupMessage,
)

from coatcheck.actors.desk import Desk, Later
from coatcheck.actors.jobs import Jobs
from coatcheck.messages import Reply, Request, RequestFailed
from coatcheck.system.failures import UNRECOGNIZED, place_of
from coatcheck.system.frames import bad_frames

_POLL = 0.005
_STOP_WITHIN = 3.0
_AFTER_FAILURE = 1.0
_ALONE_FOR = 5.0


class BaseActor(ActorTypeDispatcher):
    """An actor with a desk for requests, one timer, and threads for what takes long.

    A subclass makes its :class:`coatcheck.actors.desk.Desk` in ``make_desk`` and may have ``begin``, ``tick``,
    ``heard`` and ``end``. Until the first message arrives it is no actor yet, so nothing happens before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.jobs = Jobs()
        self.log = logging.getLogger(f"coatcheck.{type(self).__name__}")
        self._desk: Desk | None = None
        self._parent = os.getppid()
        self._generation = 0
        self._next_tick = 0.0
        self._alone_since: float | None = None
        self.ending = False
        """Set when it has been told to end."""

    # For subclasses --------------------------------------------------------------------------------------------

    def make_desk(self) -> Desk:
        """The desk of this actor, made when the first message arrives."""
        raise NotImplementedError

    def begin(self) -> None:
        """Called once, before the first message is handled. An actor whose beginning fails ends."""

    def tick(self) -> float:
        """Called by the timer; the seconds until it is to be called again."""
        return 1.0

    def heard(self, reply: Reply, sender: Any) -> None:
        """Called with the replies to what this actor has asked."""

    def end(self, *, idle: bool) -> None:
        """Called once, before the actor ends. ``idle``: no thread of it is at work any more."""

    @property
    def desk(self) -> Desk:
        """Where requests are carried out."""
        if self._desk is None:
            self._desk = self.make_desk()
        return self._desk

    # Messages --------------------------------------------------------------------------------------------------

    def receiveMessage(self, message: Any, sender: Any) -> None:
        """Handle one message. Never raises, and returns nothing that Thespian would take for a wish."""
        try:
            if self._generation == 0 and not isinstance(message, ActorExitRequest):
                self._generation = 1
                self._begin()
            super().receiveMessage(message, sender)
        except Exception as error:  # noqa: BLE001 - see above
            self._failed(message, sender, error)

    def receiveMsg_Request(self, request: Request, sender: Any) -> None:
        """Every request goes over the desk."""
        outcome = self.desk.take(request)
        if isinstance(outcome, Later):
            self._defer(request, outcome, sender)
        elif outcome is not None:
            self.send(sender, outcome)

    def receiveMsg_Reply(self, reply: Reply, sender: Any) -> None:
        """An answer to this actor. Answers are never answered."""
        self.heard(reply, sender)

    def receiveMsg_WakeupMessage(self, wakeup: WakeupMessage, sender: Any) -> None:
        """The timer, unless it was set anew since: Thespian cannot cancel one."""
        if wakeup.payload != self._generation or self.ending:
            return
        try:
            if os.getppid() != self._parent:
                self._orphaned()
                return
            bad_frames.log(self.log)
            self.jobs.collect()
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + _AFTER_FAILURE
                self._next_tick = now + self.tick()
        finally:
            self._arm()

    def receiveMsg_ActorExitRequest(self, _: ActorExitRequest, sender: Any) -> None:
        """The end, by request of the parent or by SIGTERM."""
        if self.ending:
            return
        self.ending = True
        idle = self.jobs.stop(_STOP_WITHIN)
        try:
            if not idle:
                self.log.warning("%s ends with work under way", type(self).__name__)
            self.jobs.collect()
        finally:
            self.end(idle=idle)

    def receiveUnrecognizedMessage(self, message: Any, sender: Any) -> None:
        """What there is no handler for is counted, and logged once for each type; who asks is told."""
        name = type(message).__name__
        if not self.desk.unrecognized[name]:
            self.log.warning("%s has no handler for %s", type(self).__name__, name)
        self.desk.unrecognized[name] += 1
        # Never a message of Thespian's own: two actors would go on telling each other so.
        if not isinstance(message, (ActorSystemMessage, PoisonMessage)):
            text = f"{type(self).__name__} does not know {name}"
            request_id = getattr(message, "request_id", b"")
            self.send(sender, RequestFailed(request_id=request_id, kind=UNRECOGNIZED, text=text, evidence={}))

    # Inside ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have ``tick`` called now."""
        self._next_tick = 0.0
        self._arm()

    def _orphaned(self) -> None:
        """End, without those who would end this process: by a message, and if that is not heard in time, at once."""
        now = time.monotonic()
        # A timer without delay would fill the queue, and Thespian hears nothing while that is full.
        self._next_tick = now + _AFTER_FAILURE
        if self._alone_since is None:
            self._alone_since = now
            self.log.warning("%s ends: its parent is gone", type(self).__name__)
            self.send(self.myAddress, ActorExitRequest())
        elif now - self._alone_since > _ALONE_FOR:
            os._exit(1)

    def _begin(self) -> None:
        try:
            self.begin()
        except Exception:
            # Whoever looks after it starts another one, with a pause that grows.
            self.send(self.myAddress, ActorExitRequest())
            raise
        self._arm()

    def _arm(self) -> None:
        """Set the timer, anew: for the next tick, or sooner to fetch what threads have done."""
        if not self.ending:
            delay = max(0.0, self._next_tick - time.monotonic())
            self._generation += 1
            self.wakeupAfter(
                timedelta(seconds=min(delay, _POLL) if self.jobs.pending else delay), payload=self._generation
            )

    def _defer(self, request: Request, later: Later, sender: Any) -> None:
        def done(outcome: Any) -> None:
            reply = self.desk.answer(request, outcome)
            if reply is not None:
                self.send(sender, reply)

        idle = not self.jobs.pending
        self.jobs.submit(later.queue, lambda: self.desk.resume(request, later), done)
        if idle:
            self._arm()

    def _failed(self, message: Any, sender: Any, error: Exception) -> None:
        # There is nobody left to tell when this fails too.
        with suppress(Exception):
            self.log.error("%s failed on %s: %s", type(self).__name__, type(message).__name__, place_of(error))
        with suppress(Exception):
            if not isinstance(message, Request):
                self.desk.note(error)
            elif (reply := self.desk.answer(message, error)) is not None:
                self.send(sender, reply)
