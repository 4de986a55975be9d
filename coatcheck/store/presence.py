"""Which threads of this process are inside a transaction, and how to keep them out, or clean up behind them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import lmdb

from coatcheck.errors import StoreUnavailable
from coatcheck.store.gate import Backoff
from coatcheck.store.nesting import verb_below

if TYPE_CHECKING:
    from coatcheck.store.gate import WriterGate
    from coatcheck.store.tables import Transaction

OPEN_TIMEOUT: Final = 10.0
_ABORT_TIMEOUT: Final = 1.0
_SLICE: Final = 0.0001

_get_ident = threading.get_ident


class Presence:
    """The threads inside, and the locks between them."""

    _gate: WriterGate

    def __init__(self) -> None:
        self.forks = 0
        """How often this process has begun to fork."""
        self.local = threading.local()
        self._handle: lmdb.Environment | None = None
        # Which threads are inside a transaction. A list, because append and remove are atomic: an entering thread
        # appends first and then looks at the handle, a forking one takes the handle away first and then waits for
        # the list to become empty; so one of the two always sees the other.
        self._inside: list[int] = []
        self._reset_locks()

    def _reset_locks(self) -> None:
        self._opening = threading.RLock()
        self._writing = threading.RLock()
        self._transaction: Transaction | None = None
        self._transaction_handle: lmdb.Environment | None = None
        self._syncing = threading.Lock()
        # Held while the handle is taken away for a while, or opened, or closed. A signal handler may fork meanwhile.
        self._pausing = threading.RLock()

    def clean_up(self) -> None:
        """Outside of any verb: give back what an interrupted one of this thread has left behind."""
        if self._holds_something() and not verb_below():
            self._reap()

    def _enter_gate(self, timeout: float) -> None:
        """Keep writers out, of this process and, within ``timeout``, of all others. Raises StoreUnavailable."""
        if not self._writing.acquire(timeout=OPEN_TIMEOUT):
            raise self._busy(OPEN_TIMEOUT)
        backoff = Backoff(timeout)
        while not self._gate.enter():
            if not backoff.wait():
                self._writing.release()
                raise self._busy(timeout)

    def _holds_something(self) -> bool:
        """Whether this thread is inside a transaction, or has left one behind."""
        writing = self._writing
        return writing._is_owned() or _get_ident() in self._inside  # type: ignore[attr-defined]  # noqa: SLF001

    def _reap(self) -> None:
        """Clean up behind an exception that a signal handler raised in the middle of a transaction of this thread.

        It can come between any two steps, also in the ones that give back; a thread that enters a verb, and not
        inside of another one, holds nothing, so what it holds has been left behind.
        """
        ident = _get_ident()
        writing = self._writing
        if writing._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001 - an RLock knows, and only it does
            transaction, self._transaction = self._transaction, None
            with suppress(lmdb.Error):
                if transaction is not None:
                    self._abort(transaction)
            self._gate.leave()
            while writing._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001
                writing.release()
        while ident in self._inside:
            self._leave_inside(ident)

    def _leave_inside(self, ident: int) -> None:
        try:  # noqa: SIM105 - suppress() costs more than all the rest of giving back a read
            self._inside.remove(ident)
        except ValueError:
            pass

    def _abort(self, transaction: Transaction) -> None:
        # py-lmdb waits, inside an abort, for a moment in which no other thread is in an operation. Busy readers leave
        # no such moment, and we hold the gate; so keep them out for a while.
        while not self._pausing.acquire(blocking=False):
            if self._handle is None:
                # A close keeps them out already, and waits until we have left too.
                self._wait_for_others(_ABORT_TIMEOUT)
                transaction.abort()
                return
            time.sleep(_SLICE)
        try:
            handle, self._handle = self._handle, None
            try:
                self._wait_for_others(_ABORT_TIMEOUT)
                transaction.abort()
            finally:
                self._handle = handle
        finally:
            self._pausing.release()

    def _leave_gate(self) -> None:
        self._gate.leave()
        self._writing.release()

    def _wait_for_others(self, timeout: float) -> bool:
        """Wait until no other thread is inside; the handle has been taken away, so none comes. False: too long."""
        ident = _get_ident()
        end = time.monotonic() + timeout
        while any(each != ident for each in self._inside):
            if time.monotonic() > end:
                return False
            time.sleep(_SLICE)
        return True

    def _busy(self, timeout: float) -> StoreUnavailable:
        if self._handle is None:
            return StoreUnavailable(f"no turn to write within {timeout:.1f} s: the store is being opened")
        return self._gate.busy(timeout)
