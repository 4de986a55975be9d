"""SystemSupervisor: the one actor with a name, parent of all others."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from thespian.actors import ChildActorExited

from coatcheck.actors.base import BaseActor
from coatcheck.actors.desk import Desk
from coatcheck.actors.keeper import Keeper
from coatcheck.messages import ActorReport, FindManager, InspectActor, ManagerFound, Reply
from coatcheck.settings import Settings
from coatcheck.system import process
from coatcheck.system.wire import text_of

_MANAGER = "coatcheck.actors.session_manager.SessionManager"
_PERSISTENCE = "coatcheck.actors.redis_persistence.RedisPersistence"
_ROUND = 1.0
_MAX_WAITING = 1000


class SystemSupervisor(BaseActor):
    """Starts the SessionManager, starts it again when it ends or hangs, and tells everybody where it is.

    Where the store has a mode of Redis, so is the RedisPersistence. They are plain children, without names: named ones
    would be the admin's, and live on without a supervisor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._manager = Keeper("SessionManager")
        self._persistence: Keeper | None = None
        self._told: dict[str, Any] = {}
        self._waiting: list[tuple[FindManager, Any]] = []

    def make_desk(self) -> Desk:
        """FindManager and InspectActor."""
        desk = Desk(type(self).__name__, {FindManager: self._find})
        desk.children = lambda: [self._described(each) for each in self._keepers()]
        return desk

    def begin(self) -> None:
        """Start the manager; the persistence follows when the manager answers."""
        if Settings.load().redis in ("standby", "shared"):
            self._persistence = Keeper("RedisPersistence")
        self._start(self._manager)

    def tick(self) -> float:
        """See how the children are."""
        for keeper in self._keepers():
            self._look_after(keeper)
        self._forget_late()
        return min(_ROUND, *(each.wait() for each in self._keepers()))

    def _keepers(self) -> list[Keeper]:
        return [self._manager] if self._persistence is None else [self._manager, self._persistence]

    def _look_after(self, keeper: Keeper) -> None:
        if keeper.starting and not self._unknown():
            # Thespian says nothing of the end of a child that has not told its address yet.
            keeper.ended(keeper.address)
            self.log.warning("the %s has ended while it started", keeper.name)
        if keeper.due():
            # One after the other, so that it is clear whose a process is that has not spoken yet.
            if keeper is self._manager or not any(each.starting for each in self._keepers()):
                self._start(keeper)
        elif keeper.hung():
            self.log.error("the %s (process %s) is silent: it is ended", keeper.name, keeper.pid)
            self._end_hung(keeper)
        elif keeper.address is not None:
            self.send(keeper.address, InspectActor())

    def heard(self, reply: Reply, sender: Any) -> None:
        """A child is well."""
        if not isinstance(reply, ActorReport):
            return
        for keeper in self._keepers():
            new = not keeper.alive
            if keeper.spoke(sender, reply.pid):
                if new:
                    self.log.info("the %s is process %s", keeper.name, reply.pid)
                    self.wake()
                if keeper is self._manager:
                    self._manager_spoke()
                else:
                    self._told = dict(reply.details)

    def _manager_spoke(self) -> None:
        waiting, self._waiting = self._waiting, []
        for request, asker in waiting:
            self.receiveMsg_Request(request, asker)

    def receiveMsg_FindManager(self, request: FindManager, sender: Any) -> None:
        """Answered at once, or when there is a manager that answers."""
        if self._manager.alive:
            self.receiveMsg_Request(request, sender)
        elif len(self._waiting) < _MAX_WAITING:
            self._waiting.append((request, sender))

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: Any) -> None:
        """A child ended: it is started again, after a pause that grows when it ends at once each time."""
        for keeper in self._keepers():
            if keeper.ended(message.childAddress) and not self.ending:
                self.log.warning("the %s has ended", keeper.name)
                self.wake()

    def _find(self, request: FindManager) -> Reply:
        return ManagerFound(
            request_id=request.request_id, address=text_of(self._manager.address), pid=self._manager.pid or 0
        )

    def _described(self, keeper: Keeper) -> Mapping[str, Any]:
        told = keeper.describe(text_of)
        return told if keeper is self._manager else {**told, "details": self._told if keeper.alive else {}}

    def _start(self, keeper: Keeper) -> None:
        address = self.createActor(_MANAGER if keeper is self._manager else _PERSISTENCE)
        keeper.started(address)
        # The first message makes it an actor, and its answer shows that it became one.
        self.send(address, InspectActor())

    def _end_hung(self, keeper: Keeper) -> None:
        # Children of this process: no number is anyone else's before ChildActorExited has been heard. One that has
        # never spoken has not told its number, but then it is the only one there is that has not.
        pids = self._unknown() if keeper.pid is None else [keeper.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _unknown(self) -> list[int]:
        """Children that have not told who they are."""
        known = {each.pid for each in self._keepers()}
        return [pid for pid in process.children(os.getpid()) if pid not in known and process.alive(pid)]

    def _forget_late(self) -> None:
        now = time.monotonic()
        self._waiting = [each for each in self._waiting if each[0].deadline is None or now < each[0].deadline]
