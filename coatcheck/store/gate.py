"""Gates between processes: advisory file locks with a deadline, which die with their holder.

LMDB's own writer mutex has no deadline: a stopped holder would hang every other writer for good. So each writer passes
the :class:`WriterGate` first. The :class:`SharedGate` is held by every process that has the store open, and taken
exclusively by what must be alone: compaction, restore, recovery, upgrade.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import Final

from coatcheck.errors import StoreUnavailable
from coatcheck.store.files import open_private

_HOLDER: Final = 0
_SINCE: Final = 1
_PIN: Final = 2
_SIZE: Final = 3 * 8
_SPINS: Final = 30
_SHORTEST_PAUSE: Final = 0.00005
_LONGEST_PAUSE: Final = 0.0005


class GateBusy(StoreUnavailable):
    """The writer gate is taken, and the caller has said that it will not wait."""


class WriterGate:
    """One writer at a time over all processes. The holder's pid and the time stand in shared memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = open_private(path)
        if os.fstat(self._descriptor).st_size < _SIZE:
            os.ftruncate(self._descriptor, _SIZE)
        self._memory = mmap.mmap(self._descriptor, _SIZE)
        self._words = memoryview(self._memory).cast("q")
        self._pid = os.getpid()

    def enter(self) -> bool:
        """Take the gate if it is free now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        words = self._words
        if words[_HOLDER]:
            # The last holder died inside. LMDB's mutex will find that out too, and take the slots of all dead readers:
            # the pin's among them, if that was its owner's. So there is none until somebody makes another.
            words[_PIN] = 0
        words[_HOLDER], words[_SINCE] = self._pid, time.monotonic_ns()
        return True

    def leave(self) -> None:
        """Give it back, if it is held."""
        words = self._words
        if words[_HOLDER] == self._pid:
            words[_HOLDER] = words[_SINCE] = 0
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @property
    def pin_owner(self) -> int:
        """The process that pins the last sync point; 0 when nobody does, so that the next writer has to."""
        return self._words[_PIN]

    @pin_owner.setter
    def pin_owner(self, pid: int) -> None:
        self._words[_PIN] = pid

    def busy(self, waited: float) -> StoreUnavailable:
        """The error for a gate that did not open in time, naming its holder."""
        pid, since = self._words[_HOLDER], self._words[_SINCE]
        if not pid:
            return StoreUnavailable(f"no turn to write within {waited:.1f} s: too many writers on {self._path.parent}")
        held = max(0.0, (time.monotonic_ns() - since) / 1e9)
        message = (
            f"no turn to write within {waited:.1f} s: process {pid} has been writing to {self._path.parent} "
            f"for {held:.1f} s; if it is stopped, continue it (kill -CONT {pid}) or end it"
        )
        return StoreUnavailable(message, holder_pid=pid, held_for=held)

    def close(self) -> None:
        """Give back the descriptor; a held gate opens with it."""
        self._words.release()
        self._memory.close()
        self._descriptor = _close_once(self._descriptor)


class Backoff:
    """How to wait for a gate: a few turns at once, then pauses that grow, until the deadline."""

    __slots__ = ("_end", "_pause", "_tries", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._end = time.monotonic() + timeout
        self._tries = 0
        self._pause = _SHORTEST_PAUSE

    @property
    def left(self) -> float:
        """Seconds until the deadline, not below 0."""
        return max(0.0, self._end - time.monotonic())

    def wait(self, longest: float = _LONGEST_PAUSE) -> bool:
        """Wait a little, at most ``longest`` seconds; False when the deadline has passed."""
        self._tries += 1
        if self._tries <= _SPINS:
            os.sched_yield()
            return True
        left = self.left
        if not left:
            return False
        time.sleep(min(self._pause, left))
        self._pause = min(self._pause * 1.5, longest)
        return True


class SharedGate:
    """Held shared by every opener of the store, exclusively by what must be alone on it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = open_private(path)

    def enter_shared(self, timeout: float) -> None:
        """Wait for whoever is alone on the store. Raises StoreUnavailable after ``timeout`` seconds."""
        self._enter(fcntl.LOCK_SH, timeout)

    def enter_alone(self, timeout: float) -> None:
        """Wait until nobody else is on the store. Raises StoreUnavailable that says which processes are."""
        self._enter(fcntl.LOCK_EX, timeout)

    def try_alone(self) -> bool:
        """Whether nobody else is on the store; then nobody can come until this gate is entered shared or closed."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Leave."""
        self._descriptor = _close_once(self._descriptor)

    def _enter(self, kind: int, timeout: float) -> None:
        backoff = Backoff(timeout)
        while True:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if backoff.wait():
                    continue
                pids = ", ".join(map(str, holders(self._path) or ())) or "unknown"
                msg = f"{self._path.parent} is in use by process {pids}: stop it and try again"
                raise StoreUnavailable(msg) from None
            return


def writing(path: Path) -> tuple[int, float] | None:
    """The process that is inside the writer gate now, and for how many seconds; None when nobody is. Opens nothing."""
    try:
        content = path.read_bytes()[:_SIZE]
    except OSError:
        return None
    if len(content) < _SIZE:
        return None
    words = memoryview(content).cast("q")
    pid, since = words[_HOLDER], words[_SINCE]
    # A holder that died inside has left its pid behind; the lock is gone with it.
    if not pid or holders(path) == []:
        return None
    return pid, max(0.0, (time.monotonic_ns() - since) / 1e9)


def _close_once(descriptor: int) -> int:
    """Close it; what to remember instead. A child of a child closes again, when the number may be another file's."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def holders(path: Path) -> list[int] | None:
    """The other processes that hold a file lock on this file; None where the kernel does not list them."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    pids = set()
    for line in lines:
        fields = line.replace("->", "").split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rsplit(":", 1)[-1] == str(inode):
            pids.add(int(fields[4]))
    return sorted(pids - {os.getpid()})
