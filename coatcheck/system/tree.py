"""The processes of one actor system, as the one that runs it sees them: started, watched, ended without a rest."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import time
from multiprocessing import resource_tracker
from typing import Any, Final

from thespian.actors import ActorSystemException

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.system import process
from coatcheck.system.files import LOOPBACK
from coatcheck.system.seal import Seal
from coatcheck.system.wire import StartedBase

_ADOPTED_WITHIN: Final = 5.0

_log = logging.getLogger("coatcheck.system")


class EndedWhileStarting(StoreUnavailable):
    """A process of the system was killed, or ended, while the system started: another start may come up."""


class Tree:
    """An admin, its logger and its actors. They are one process group, and orphans of it become children of ours."""

    def __init__(self, base: StartedBase, admin: int) -> None:
        self.base = base
        self.admin = admin
        """The process of the admin."""
        self.group = os.getpgid(admin)
        """The process group of all of them."""

    @classmethod
    def start(cls, seal: Seal, port: int, log_definitions: dict[str, Any], bind: str = LOOPBACK) -> Tree:
        """Start an admin. From the main thread: its children are to end with the thread that started them.

        Raises StoreUnavailable when it does not come up.
        """
        before = set(process.children(os.getpid()))
        try:
            base = StartedBase(seal, port, log_definitions, bind)
        except ActorSystemException as error:
            _end_strangers(before)
            msg = f"the admin of the actor system does not come up on port {port}: was it killed, is the port in use?"
            raise EndedWhileStarting(msg) from error
        deadline = time.monotonic() + _ADOPTED_WITHIN
        while True:
            reap_all()
            admins = process.sessions_of_children(before)
            if admins:
                return cls(base, admins[0])
            if time.monotonic() > deadline:
                _end_strangers(before)
                msg = "the admin of the actor system ended at once, or another process has adopted it"
                raise EndedWhileStarting(msg)
            time.sleep(0.005)

    def stop(self, timeout: float) -> bool:
        """Let everything end in good order; after ``timeout`` seconds, end what is left. True when nothing was."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ActorSystemException, OSError):
            self.base.stop(timeout)
        while self._lives() and time.monotonic() < deadline:
            reap_all()
            time.sleep(0.005)
        clean = not self._lives()
        if not clean:
            _log.warning("the actor system did not end within %.0f s: the rest of it is ended now", timeout)
        self.kill()
        return clean

    def kill(self) -> None:
        """End whatever is left of it, at once."""
        with contextlib.suppress(OSError):
            self.base.leave()
        deadline = time.monotonic() + _ADOPTED_WITHIN
        while process.end_group(self.group) and time.monotonic() < deadline:
            reap_all()
            time.sleep(0.005)

    def _lives(self) -> bool:
        try:
            os.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        return True

    def require(self) -> None:
        """Raise EndedWhileStarting when the admin is gone, or the supervisor that it was asked for is.

        Thespian says nothing of the end of an actor that has not told its address yet, and starts no other one.
        """
        reap_all()
        if not process.alive(self.admin):
            msg = f"the admin (process {self.admin}) has ended while the actor system started"
            raise EndedWhileStarting(msg)
        # The others are the logger and the supervisor.
        if sum(map(process.alive, process.children(self.admin))) < 2:
            msg = "the supervisor has ended while it started"
            raise EndedWhileStarting(msg)

    def owns(self, pid: int) -> bool:
        """Whether a process belongs to it."""
        try:
            return os.getpgid(pid) == self.group
        except ProcessLookupError:
            return False


def _end_strangers(before: set[int]) -> None:
    """End what a failed start has left."""
    for pid in process.sessions_of_children(before):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)
    reap_all()


def reap_all() -> list[int]:
    """Take note of every child that has ended; which."""
    ended: list[int] = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append(pid)


def end_helpers(timeout: float = 2.0) -> None:
    """End the process that Python starts beside every spawned one, and wait for it."""
    with contextlib.suppress(Exception):
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001
    deadline = time.monotonic() + timeout
    while process.children(os.getpid()) and time.monotonic() < deadline:
        reap_all()
        time.sleep(0.005)


def free_port(wanted: int | None, bind: str = LOOPBACK) -> int:
    """The port that was asked for, or any free one, on this address.

    Raises ConfigurationError when it is in use, and when the address is none of this host.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, wanted or 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                msg = f"bind is {bind!r}, which is no address of this host: use one of its own, such as {LOOPBACK}"
                raise ConfigurationError(msg) from error
            msg = f"port {wanted}: {error.strerror}; choose another with --port, or leave it out for any free one"
            raise ConfigurationError(msg) from error
        port: int = probe.getsockname()[1]
        return port
