"""What happens to an open store around ``os.fork``: it is closed, and both sides open it again.

LMDB allows none of its handles to be used, or even closed, on both sides of a fork. Where a store cannot be closed in
time it stays open: the parent goes on, and the child is told why it cannot use it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import lmdb

from coatcheck.errors import CoatcheckError
from coatcheck.store.handle import Handle
from coatcheck.store.nesting import verb_below

_GATE_TIMEOUT: Final = 1.0
"""Seconds a fork waits for writers of other processes."""

_TURN: Final = 0.2
"""Seconds in which writers are kept out while readers of this process come to an end."""

_LONGEST: Final = 30.0
"""Seconds after which a fork gives up on a reader of this process, a check perhaps."""

_getpid = os.getpid


class ForkingHandle(Handle):
    """A handle that knows what to do before and after a fork; ``registry`` calls."""

    def before_fork(self) -> None:
        """Keep everybody out and close."""
        self._opening.acquire()
        self.forks += 1
        self._keeps_gates = False
        self._not_closed = ""
        if verb_below():
            self._not_closed = "a signal handler forked in the middle of a verb: fork outside of signal handlers"
            return
        if self._holds_something():
            self._reap()
        with self._pausing:  # an abort takes the handle away for a moment
            is_open = self._handle is not None and self._pid == _getpid()
        if is_open:
            self._close_in_gate()

    def _close_in_gate(self) -> None:
        """Close inside the gate, which the parent keeps until it has opened again.

        The pin ends with the handle, so nobody may write meanwhile; and a parent that had to wait for a writer that is
        stopped could not go on reading.
        """
        end = time.monotonic() + _LONGEST
        while True:
            try:
                # Readers of this process go on meanwhile; only then they are kept out, and not for long.
                self._enter_gate(_GATE_TIMEOUT)
            except CoatcheckError as error:
                self._not_closed = str(error)
                return
            if self._close_inside(_TURN):
                return
            self._leave_gate()
            if time.monotonic() > end:
                self._not_closed = f"a thread of it was inside a verb for more than {_LONGEST:g} s"
                return
            time.sleep(_TURN)

    def _close_inside(self, timeout: float) -> bool:
        with self._pausing:
            handle, self._handle = self._handle, None
            if handle is None or not self._wait_for_others(timeout):
                self._handle = handle
                return False
        try:
            if self.sync_points.pinned:
                self.sync_points.finish(handle, self.sync_points.begin(handle))
        except (CoatcheckError, lmdb.Error, OSError):
            if self.has_its_files():
                self._handle = handle
                return False
        self.sync_points.drop()
        handle.close()
        self._keeps_gates = True
        return True

    def after_fork_in_parent(self) -> None:
        """Let everybody in again."""
        try:
            if self._keeps_gates:
                opened = False
                try:
                    self._open_inside(self._shared, self._gate)
                    opened = True
                finally:
                    self._leave_gate()
                    if not opened:
                        self._close_gates()
        finally:
            self._keeps_gates = False
            self._opening.release()

    def after_fork_in_child(self) -> None:
        """The other threads do not exist here, so neither do their locks."""
        self._reset_locks()
        self._inside = []
        self._lost = self._lost or self._not_closed
        self.local = threading.local()
        if self._keeps_gates or self._handle is not None:
            # Only these copies of the descriptors: the locks are the parent's.
            self._close_gates()
            self._keeps_gates = False
        self.on_forked()
