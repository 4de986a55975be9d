"""SystemSupervisor: the one actor with a name, parent of all others."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from thespian.actors import ChildActorExited

from coatcheck.actors.base import BaseActor
from coatcheck.actors.desk import Desk
from coatcheck.actors.keeper import Keeper
from coatcheck.messages import ActorReport, FindManager, InspectActor, ManagerFound, Reply
from coatcheck.system import process
from coatcheck.system.wire import text_of

_MANAGER = "coatcheck.actors.session_manager.SessionManager"
_ROUND = 1.0
_MAX_WAITING = 1000


class SystemSupervisor(BaseActor):
    """Starts the SessionManager, starts it again when it ends or hangs, and tells everybody where it is.

    The manager is a plain child, without a name: a named one would be the admin's, and live on without a supervisor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._manager = Keeper("SessionManager")
        self._waiting: list[tuple[FindManager, Any]] = []

    def make_desk(self) -> Desk:
        """FindManager and InspectActor."""
        desk = Desk(type(self).__name__, {FindManager: self._find})
        desk.children = lambda: [self._manager.describe(text_of)]
        return desk

    def begin(self) -> None:
        """Start the manager."""
        self._start()

    def tick(self) -> float:
        """See how the manager is."""
        keeper = self._manager
        if keeper.starting and not self._children():
            # Thespian says nothing of the end of a child that has not told its address yet.
            keeper.ended(keeper.address)
            self.log.warning("the session manager has ended while it started")
        if keeper.due():
            self._start()
        elif keeper.hung():
            self.log.error("the session manager (process %s) is silent: it is ended", keeper.pid)
            self._end_hung()
        elif keeper.address is not None:
            self.send(keeper.address, InspectActor())
        self._forget_late()
        return min(_ROUND, keeper.wait())

    def heard(self, reply: Reply, sender: Any) -> None:
        """The manager is well."""
        if not isinstance(reply, ActorReport):
            return
        new = not self._manager.alive
        if not self._manager.spoke(sender, reply.pid):
            return
        if new:
            self.log.info("the session manager is process %s", reply.pid)
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
        if self._manager.ended(message.childAddress) and not self.ending:
            self.log.warning("the session manager has ended")
            self.wake()

    def _find(self, request: FindManager) -> Reply:
        return ManagerFound(
            request_id=request.request_id, address=text_of(self._manager.address), pid=self._manager.pid or 0
        )

    def _start(self) -> None:
        address = self.createActor(_MANAGER)
        self._manager.started(address)
        # The first message makes it an actor, and its answer shows that it became one.
        self.send(address, InspectActor())

    def _end_hung(self) -> None:
        # Children of this process: no number is anyone else's before ChildActorExited has been heard. One that has
        # never spoken has not told its number, but then it is the only one there is.
        pids = self._children() if self._manager.pid is None else [self._manager.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _children(self) -> list[int]:
        return [pid for pid in process.children(os.getpid()) if process.alive(pid)]

    def _forget_late(self) -> None:
        now = time.monotonic()
        self._waiting = [each for each in self._waiting if each[0].deadline is None or now < each[0].deadline]
