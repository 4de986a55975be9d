"""The process that runs the actor system: in the foreground, until it is told to stop.

It starts Thespian's admin, adopts every process of the system that loses its parent, and starts the whole system again
under a new epoch when the admin ends. Each second it greets the supervisor; after three silences that one is ended, and
the admin starts it again. On SIGTERM or SIGINT everything ends: no process and no listener is left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import coatcheck
from coatcheck.errors import CoatcheckError, ConfigurationError, RequestTimeout, StoreUnavailable
from coatcheck.messages import ActorReport, InspectActor
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.opener import boot_id
from coatcheck.system import process
from coatcheck.system.files import Whereabouts, forget_whereabouts, now_in_microseconds, seal_for
from coatcheck.system.joining import find_manager
from coatcheck.system.names import SUPERVISOR_CLASS, SUPERVISOR_NAME
from coatcheck.system.seal import new_epoch
from coatcheck.system.tree import EndedWhileStarting, Tree, end_helpers, free_port, reap_all
from coatcheck.system.wire import Unanswered, Undelivered

if TYPE_CHECKING:
    from types import FrameType

    from coatcheck.settings import Settings
    from coatcheck.store.policy import Policy

STOP_WITHIN: Final = 8.0
"""Seconds in which everything may end in good order, from the signal on."""

READY_WITHIN: Final = 30.0
"""Seconds in which the first system has to be ready."""

_ROUND: Final = 1.0
_GREETING: Final = 2.0
_SILENCES: Final = 3
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_STOP: Final = 1.0

_log = logging.getLogger("coatcheck.system")


class Runner:
    """Runs the actor system of one state directory. Its lock is held by the caller."""

    def __init__(self, settings: Settings, log_definitions: dict[str, Any], ready: Callable[[int], None]) -> None:
        """``ready`` is called with the port whenever the system has become ready."""
        self._settings = settings
        self._log_definitions = log_definitions
        self._ready = ready
        self._stops = 0
        self._stop_by = 0.0
        self._tree: Tree | None = None
        self._supervisor_pid: int | None = None
        self._silences = 0
        self._restarted: deque[int] = deque(maxlen=10)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises ConfigurationError and StoreUnavailable when the system does not come up at the first start.
        """
        self._export()
        self._warn()
        self._export_redis(LmdbStore(self._settings, background=False).prepare())  # the duty is the manager's
        port = free_port(self._settings.port, self._settings.bind)
        process.adopt_orphans()
        process.raise_open_files()
        self._listen_to_signals()
        try:
            self._start_first(port)
            while not self._stops:
                self._wait(_ROUND)
                self._look_after(port)
        finally:
            self._stop()

    # Starting --------------------------------------------------------------------------------------------------

    def _export(self) -> None:
        """Put into the environment what the actors' processes need to know.

        The secret is there already, or in a file that they can read; so are the encryption keys.
        """
        settings = self._settings
        os.environ["COATCHECK_HOME"] = str(settings.home)
        os.environ["COATCHECK_CLOCK"] = settings.clock
        os.environ["COATCHECK_BIND"] = settings.bind
        if settings.encryption_keys_file is not None:
            os.environ.pop("COATCHECK_ENCRYPTION_KEYS", None)
            os.environ["COATCHECK_ENCRYPTION_KEYS_FILE"] = str(settings.encryption_keys_file)
        if settings.audit_file is not None:
            os.environ["COATCHECK_AUDIT_FILE"] = str(settings.audit_file)
            os.environ["COATCHECK_AUDIT_FILE_BYTES"] = str(settings.audit_file_bytes)
            os.environ["COATCHECK_AUDIT_FILE_COUNT"] = str(settings.audit_file_count)
        os.environ["THESPLOG_FILE"] = str(settings.home / "thespian.log")
        os.environ["THESPLOG_FILE_MAXSIZE"] = "65536"

    def _export_redis(self, policy: Policy) -> None:
        """The mode as the store has it, and where Redis is. Raises ConfigurationError for what cannot work."""
        settings = self._settings
        os.environ["COATCHECK_REDIS"] = policy.redis
        if policy.redis == "none":
            return
        if settings.redis_url is None:
            msg = (
                f"the store {settings.home} has redis={policy.redis!r}, and nothing says where Redis is: set "
                f"COATCHECK_REDIS_URL or give --redis-url"
            )
            raise ConfigurationError(msg)
        try:
            from coatcheck.redis import connecting
        except ModuleNotFoundError as error:
            raise ConfigurationError(str(error)) from error
        connecting.maker(connecting.client_of, settings.redis_url, None, {})
        os.environ["COATCHECK_REDIS_URL"] = settings.redis_url
        os.environ["COATCHECK_REDIS_PREFIX"] = policy.redis_prefix

    def _warn(self) -> None:
        bind = self._settings.bind
        if not ip_address(bind).is_loopback:
            _log.warning(
                "bind is %s: who can listen in on that network sees sessions and tokens, which are sealed but not "
                "encrypted, and can repeat what was said; who can reach it can use up connections",
                bind,
            )

    def _start(self, port: int) -> None:
        epoch = new_epoch()
        settings = self._settings
        self._tree = Tree.start(seal_for(settings, epoch), port, self._log_definitions, settings.bind)
        self._silences = 0
        if not self._manager_answers(self._tree):
            return
        boot = boot_id().decode("ascii", "replace")
        here = Whereabouts(
            port,
            epoch,
            os.getpid(),
            now_in_microseconds(),
            settings.bind,
            boot,
            coatcheck.__version__,
            tuple(self._restarted),
        )
        here.write(settings.home)
        self._ready(port)

    def _manager_answers(self, tree: Tree) -> bool:
        """Wait until sessions are served, or somebody wants it all to stop. Raises RequestTimeout."""
        deadline = time.monotonic() + READY_WITHIN
        while not self._stops:
            try:
                find_manager(tree.base, _ROUND)
            except RequestTimeout:
                if time.monotonic() > deadline:
                    raise
                tree.require()
            else:
                return True
        return False

    def _start_first(self, port: int) -> None:
        """What cannot work raises; a start in which a process was killed is followed by another one, for a while."""
        deadline = time.monotonic() + READY_WITHIN
        while not self._stops:
            try:
                self._start(port)
                return
            except EndedWhileStarting as error:
                if time.monotonic() > deadline:
                    raise
                _log.error("%s: it starts again", error)
                self._end_tree()
                self._wait(_FIRST_PAUSE)

    def _start_again(self, port: int) -> None:
        pause = 0.0
        while not self._stops:
            self._restarted.append(now_in_microseconds())
            try:
                self._start(port)
                return
            except CoatcheckError as error:
                _log.error("the actor system does not start again: %s", error)
                self._end_tree()
                pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
                self._wait(pause)

    # Running ---------------------------------------------------------------------------------------------------

    def _look_after(self, port: int) -> None:
        ended = reap_all()
        if self._stops or self._tree is None:
            return
        if self._tree.admin in ended or not process.alive(self._tree.admin):
            _log.error("the admin (process %d) has ended: the actor system starts again", self._tree.admin)
            self._end_tree()
            self._start_again(port)
            return
        self._greet(port)

    def _greet(self, port: int) -> None:
        assert self._tree is not None
        base = self._tree.base
        try:
            supervisor = base.named_actor(SUPERVISOR_CLASS, SUPERVISOR_NAME, _GREETING)
            reply = base.call(supervisor, InspectActor(deadline=time.monotonic() + _GREETING), _GREETING)
        except (StoreUnavailable, Undelivered, Unanswered):
            self._silences += 1
            if self._silences == _SILENCES - 1 and self._is_incomplete(port):
                return
        else:
            self._silences = 0
            if isinstance(reply, ActorReport):
                self._supervisor_pid = reply.pid
        if self._silences >= _SILENCES:
            self._end_silent()

    def _is_incomplete(self, port: int) -> bool:
        """Start again when the supervisor was killed while it started; whether it was."""
        assert self._tree is not None
        try:
            self._tree.require()
        except EndedWhileStarting as error:
            _log.error("%s: the actor system starts again", error)
            self._end_tree()
            self._start_again(port)
            return True
        return False

    def _end_silent(self) -> None:
        """After three silences: end the supervisor, and if that does not help, all of it."""
        assert self._tree is not None
        pid, self._supervisor_pid = self._supervisor_pid, None
        self._silences = 0
        if pid is not None and self._tree.owns(pid):
            _log.error("the supervisor (process %d) is silent: it is ended, and started again", pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        _log.error("the actor system is silent: it starts again")
        process.end_group(self._tree.group)

    # Ending ----------------------------------------------------------------------------------------------------

    def _end_tree(self) -> None:
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.kill()
        self._supervisor_pid = None
        reap_all()

    def _stop(self) -> None:
        forget_whereabouts(self._settings.home)
        # It stays where a second signal finds it.
        if self._tree is not None:
            _log.info("stopping")
            # A greeting that nobody answers may have taken some of the time.
            left = self._stop_by - time.monotonic() if self._stops else STOP_WITHIN
            self._tree.stop(max(_SHORTEST_STOP, left))
            self._tree = None
        end_helpers()

    # Signals ---------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1
        if self._stops == 1:
            self._stop_by = time.monotonic() + STOP_WITHIN
        if self._stops > 1 and self._tree is not None:
            process.end_group(self._tree.group)

    def _wait(self, seconds: float) -> None:
        """Until a signal arrives, but no longer than that."""
        if self._stops:
            return
        select.select([self._wake_read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
