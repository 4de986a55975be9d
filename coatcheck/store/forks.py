"""What happens to an open store around ``os.fork``: it is closed, and both sides open it again.

LMDB allows none of its handles to be used, or even closed, on both sides of a fork.
"""

from __future__ import annotations

import os
import threading

import lmdb

from coatcheck.errors import CoatcheckError
from coatcheck.store.handle import LEAVE_TIMEOUT, Handle

_get_ident = threading.get_ident
_getpid = os.getpid


class ForkingHandle(Handle):
    """A handle that knows what to do before and after a fork; ``registry`` calls."""

    def before_fork(self) -> None:
        """Keep everybody out and close."""
        self._opening.acquire()
        self.forks += 1
        self._keeps_gates = False
        with self._pausing:  # an abort takes the handle away for a moment
            pinned = self._handle is not None and self.sync_points.pinned and self._pid == _getpid()
        if not pinned or _get_ident() in self._inside:
            self._close_handle()
            return
        # First wait for the readers of this process, a long check perhaps; other processes can write meanwhile.
        with self._pausing:
            handle, self._handle = self._handle, None
            ready = handle is not None and self._wait_for_others(LEAVE_TIMEOUT)
        if handle is None or not ready:
            self._handle = handle
            return  # it stays open: the parent goes on, and a child that uses it is refused
        # The pin ends with the handle, so nobody may write until the parent has it again.
        try:
            self._enter_gate()
        except CoatcheckError:
            self._handle = handle
            return
        try:
            self.sync_points.finish(handle, self.sync_points.begin(handle))
            self.sync_points.drop()
            handle.close()
            self._keeps_gates = True
        except (CoatcheckError, lmdb.Error, OSError):
            self._handle = handle
        finally:
            if not self._keeps_gates:
                self._leave_gate()

    def after_fork_in_parent(self) -> None:
        """Let everybody in again."""
        try:
            if self._keeps_gates:
                try:
                    self._open_inside(self._shared, self._gate)
                finally:
                    self._leave_gate()
        finally:
            self._keeps_gates = False
            self._opening.release()

    def after_fork_in_child(self) -> None:
        """The other threads do not exist here, so neither do their locks."""
        self._reset_locks()
        self._inside = []
        self.local = threading.local()
        if self._keeps_gates:
            # Only these copies of the descriptors: the locks are the parent's.
            self._gate.close()
            self._shared.close()
            self._keeps_gates = False
        self.on_forked()
