"""The line to the SessionManager: found when it is needed, found anew when it is lost, one for each process."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from coatcheck.client.places import Places
from coatcheck.client.pool import Endpoint, Pool
from coatcheck.errors import RequestTimeout, StoreUnavailable
from coatcheck.messages import ActorReport, InspectActor, RequestFailed
from coatcheck.store import policy
from coatcheck.system.frames import bad_frames
from coatcheck.system.joining import find_manager, join_base
from coatcheck.system.wire import Unanswered, Undelivered

if TYPE_CHECKING:
    import logging

    from coatcheck.messages import Reply, Request
    from coatcheck.settings import Settings

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.2
_TRUSTED: Final = 1.0


class Line(Protocol):
    """How requests reach a manager."""

    def call(self, request: Request, deadline: float, *, repeatable: bool) -> Reply:
        """The manager's reply.

        ``deadline`` is in ``time.monotonic()`` seconds. ``repeatable``: the request may be sent again when it is not
        known whether the manager has read it. Raises StoreUnavailable when nobody is there, RequestTimeout.
        """

    def close(self) -> None:
        """Give back what is open. The next call opens again."""


@dataclass
class _Joined:
    """What one process knows of one system, from joining it to the first thing that goes wrong."""

    base: Any
    manager: Any
    pool: Pool
    since: float


class ManagerLine:
    """The line to the manager of the system that runs on a state directory."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._joined: _Joined | None = None
        self._joining = Places(1)
        self._changing = threading.RLock()  # a signal handler may come here while its thread has it
        _lines.add(self)

    def call(self, request: Request, deadline: float, *, repeatable: bool) -> Reply:
        """See :class:`Line`."""
        pause = _FIRST_PAUSE
        sent_again = False
        while True:
            try:
                joined = self._joined or self._join(deadline)
            except StoreUnavailable as error:
                if not sent_again:
                    raise
                # Nobody is there now. Whoever was there the first time may have carried it out before.
                raise self._timeout(deadline, known=False) from error
            try:
                reply = self._exchange(joined, request, deadline)
            except Undelivered:
                # Certainly not read: any request may be sent again.
                self._lost(joined)
            except Unanswered as unanswered:
                # A slow manager is not a lost one; but something else may have got its port.
                if not unanswered.waited or time.monotonic() - joined.since > _TRUSTED:
                    self._lost(joined)
                if unanswered.waited or sent_again or not repeatable:
                    raise self._timeout(deadline, known=False) from None
                sent_again = True
            else:
                if sent_again and isinstance(reply, RequestFailed) and reply.kind == StoreUnavailable.__name__:
                    raise self._timeout(deadline, known=False)
                return reply
            if time.monotonic() + pause >= deadline:
                raise self._timeout(deadline, known=not sent_again)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _exchange(self, joined: _Joined, request: Request, deadline: float) -> Reply:
        try:
            endpoint: Endpoint | None = joined.pool.take(deadline - time.monotonic())
        except OSError as error:
            msg = f"no endpoint to the actor system: {error.strerror}; raise the limit of open files (ulimit -n)"
            raise StoreUnavailable(msg) from error
        if endpoint is None:
            msg = (
                f"all {self._settings.pool_size} endpoints to the actor system are in use: raise pool_size, or find "
                f"out why the manager is slow"
            )
            raise RequestTimeout(msg, timeout=self._settings.ask_timeout)
        try:
            reply = endpoint.call(joined.manager, request, max(0.0, deadline - time.monotonic()))
        except BaseException:
            # Also what a signal handler raises in the middle: the endpoint would hand the answer to the next caller.
            joined.pool.destroy(endpoint)
            bad_frames.log(self._log)
            raise
        joined.pool.give_back(endpoint)
        return reply

    def _join(self, deadline: float) -> _Joined:
        turn = self._joining.take(deadline - time.monotonic())
        if turn is None:
            raise self._timeout(deadline, known=True)
        try:
            if self._joined is not None:
                return self._joined
            base, _ = join_base(self._settings, max(0.0, deadline - time.monotonic()))
            try:
                manager = find_manager(base, max(0.0, deadline - time.monotonic()))
                self._agree(base, manager, deadline)
            except BaseException:
                base.leave()
                raise
            pool = Pool(base.external_clone, self._settings.pool_size)
            joined = self._joined = _Joined(base, manager, pool, time.monotonic())
            return joined
        finally:
            del turn

    def _agree(self, base: Any, manager: Any, deadline: float) -> None:
        """Raise ConfigurationError where the store is kept in another way than the settings ask for."""
        if not policy.asks_for_anything(self._settings):
            return
        try:
            report = base.call(manager, InspectActor(deadline=deadline), max(0.0, deadline - time.monotonic()))
        except (Undelivered, Unanswered):
            raise self._timeout(deadline, known=True) from None
        stored = report.details.get("policy") if isinstance(report, ActorReport) else None
        if stored:
            policy.compare(policy.Policy(**stored), self._settings)

    def _lost(self, joined: _Joined) -> None:
        """Something is wrong with the manager or the system: the next call looks where they are now."""
        with self._changing:
            if self._joined is not joined:
                return
            self._joined = None
        joined.pool.close()
        joined.base.leave()

    def _timeout(self, deadline: float, *, known: bool) -> RequestTimeout:
        seconds = self._settings.ask_timeout
        late = time.monotonic() >= deadline
        what = f"no answer from the session manager within {seconds:.1f} s" if late else "the session manager was lost"
        text = "nothing was done" if known else "whether the request was carried out is unknown"
        return RequestTimeout(
            f"{what}; {text}: see the log of the actor system of {self._settings.home}", timeout=seconds
        )

    def close(self) -> None:
        """See :class:`Line`."""
        joined = self._joined
        if joined is not None:
            self._lost(joined)

    def forget(self) -> None:
        """In a forked child: the parent listens on these endpoints, and the locks may be held by its threads."""
        self._joined = None
        self._joining = Places(1)
        self._changing = threading.RLock()


_lines: weakref.WeakSet[ManagerLine] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for line in _lines:
        line.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)
