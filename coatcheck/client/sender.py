"""The sender: what is told to the manager without waiting for an answer, by a thread of its own.

A ``tell`` waits until the other side has the message, up to seconds where nobody is there; and it cannot tell whether
anything came of it. So a message is handed over to a queue that is bounded, and the sender asks for a confirmation that
nobody else waits for: it may send again what was not answered, and it knows, and counts, what was in vain.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
import weakref
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from coatcheck.client.places import Places
from coatcheck.errors import CoatcheckError, RequestTimeout, SessionMissing, StoreUnavailable
from coatcheck.messages import QuietRequest, Request, RequestFailed, RestoreFlashes
from coatcheck.messages.packing import pack, restore
from coatcheck.system.failures import error_of, place_of

if TYPE_CHECKING:
    from coatcheck.client.line import Line

MOST_WAITING: Final = 1000
"""Messages that may wait in one process; a further one is dropped, and counted."""

KEPT: Final = 30.0
"""Seconds after which a message that could not be delivered is given up."""

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_FLUSH_WITHIN: Final = 2.0


class Sender:
    """The messages of one process, in order. Safe to make before a fork, and to call from a signal handler."""

    def __init__(self, line: Line, log: logging.Logger) -> None:
        self._line = line
        self._log = log
        self.counters: Counter[str] = Counter()
        """``sent``: confirmed; ``refused``: answered with an error, as for a session that has ended; ``unanswered``:
        perhaps carried out; ``expired``: nobody was there in time; ``dropped``: too many were waiting."""
        self._full = False
        self.forget()
        _senders.add(self)

    def tell(self, request: QuietRequest | RestoreFlashes) -> bool:
        """Hand over a message, and return at once; False when it was dropped because too many are waiting.

        Its ``deadline`` counts where it has one. Raises UnstorableValue and TypeError for what cannot be sent.
        """
        deadline = time.monotonic() + KEPT if request.deadline is None else request.deadline
        # A copy: what the application does to its values from now on is not what it has told.
        request = replace(request, deadline=deadline)
        if not isinstance(request, RestoreFlashes):
            request = replace(request, confirm=True)
        told = restore(type(request).__name__, pack(request))
        assert isinstance(told, (QuietRequest, RestoreFlashes))
        if len(self._waiting) >= MOST_WAITING:
            self.counters["dropped"] += 1
            if not self._full:
                self._full = True
                self._log.warning("%d messages wait for the session manager: further ones are dropped", MOST_WAITING)
            return False
        self._waiting.append(told)
        self._wake.put(True)
        self._see_that_it_runs()
        return True

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was handed over has been sent, or given up; False after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self._waiting:
            if not self._see_that_it_runs():
                # The interpreter ends, and starts no threads any more: it is sent from here, within what is left.
                waiting = self._waiting
                for number in range(len(waiting)):
                    each = waiting[number]
                    waiting[number] = replace(each, deadline=min(deadline, each.deadline or deadline))
                self._send_all()
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def close(self, within: float = _FLUSH_WITHIN) -> None:
        """Send what is waiting, for two seconds at most, and let the thread go. The next message begins again."""
        self.flush(within)
        self._wake.put(False)

    def forget(self) -> None:
        """In a forked child: the messages are the parent's to send, and its thread is not here."""
        # Both can be added to by threads and by signal handlers at any moment. A message is taken out when it has been
        # sent, by the thread alone.
        self._waiting: deque[QuietRequest | RestoreFlashes] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._sending, self._starting = threading.Lock(), Places(1)
        self._thread: threading.Thread | None = None

    def _see_that_it_runs(self) -> bool:
        """Start the thread where there is none; False when the interpreter ends and there can be none any more."""
        if self._thread is not None and self._thread.is_alive():
            return True
        # Whoever is in here already, below a signal handler perhaps, starts it.
        turn = self._starting.take(0.0)
        try:
            if turn is not None and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="coatcheck-sender", daemon=True)
                self._thread.start()
        except RuntimeError:
            return False
        finally:
            del turn
        return True

    def _run(self) -> None:
        wake = self._wake
        while True:
            self._send_all()
            if wake.get():
                continue
            # From here on another thread is started for what comes, and what came before is still sent by this one.
            self._thread = None
            self._send_all()
            return

    def _send_all(self) -> None:
        waiting = self._waiting
        with self._sending:
            while waiting:
                try:
                    self._send(waiting[0])
                except Exception as error:  # noqa: BLE001 - the thread must outlive what it does not foresee
                    self.counters["refused"] += 1
                    # Its text may quote what was told.
                    self._log.error("a message could not be sent: %s", place_of(error))
                waiting.popleft()
                if self._full and len(waiting) < MOST_WAITING // 2:
                    self._full = False

    def _send(self, request: QuietRequest | RestoreFlashes) -> None:
        assert request.deadline is not None
        pause = _FIRST_PAUSE
        while True:
            try:
                refused = self._ask(request, request.deadline)
            except StoreUnavailable as error:
                if isinstance(error, RequestTimeout) and not isinstance(request, RestoreFlashes):
                    # It may have been carried out. Sent again much later it might not be known again.
                    self._give_up("unanswered", request, error)
                    return
                if time.monotonic() + pause >= request.deadline:
                    self._give_up("expired", request, error)
                    return
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            except CoatcheckError as error:
                refused = error
            if refused is None:
                self.counters["sent"] += 1
            else:
                self._give_up("refused", request, refused)
            return

    def _ask(self, request: Request, deadline: float) -> Exception | None:
        """Send it; the error that it was answered with. Raises StoreUnavailable where it can be tried again."""
        reply = self._line.call(request, deadline, repeatable=True)
        error = error_of(reply)
        # The manager is there, but its store could not be asked, as while a writer stands still: nothing was done.
        if error is not None and isinstance(reply, RequestFailed) and reply.kind == StoreUnavailable.__name__:
            raise error
        return error

    def _give_up(self, why: str, request: Request, error: Exception) -> None:
        self.counters[why] += 1
        # Sessions end, so that one is not there any more is nothing to worry about.
        level = logging.DEBUG if isinstance(error, SessionMissing) else logging.WARNING
        text = str(error) if isinstance(error, CoatcheckError) else type(error).__name__
        self._log.log(level, "%s was told in vain (%s): %s", type(request).__name__, why, text)


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for sender in _senders:
        sender.forget()


def _at_exit() -> None:
    # All together: a program may have many clients, and no system to tell anything.
    deadline = time.monotonic() + _FLUSH_WITHIN
    for sender in list(_senders):
        sender.close(max(0.0, deadline - time.monotonic()))


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
