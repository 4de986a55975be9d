"""Time, as integers: microseconds UTC. One clock a store, so that tests can hold it."""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from typing import Final, Protocol

from coatcheck.errors import ConfigurationError

SECOND: Final = 1_000_000
"""Microseconds in a second."""

NEVER: Final = 2**63 - 1
"""The deadline of what does not expire, in microseconds UTC."""


def microseconds(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * SECOND)


class Clock(Protocol):
    """What a store asks for the time."""

    def now(self) -> int:
        """Wall clock, microseconds UTC."""

    def boottime(self) -> int:
        """A clock that no administrator can step, microseconds since boot, suspend included."""


class SystemClock:
    """The machine's own clocks."""

    @staticmethod
    def now() -> int:
        """Wall clock, microseconds UTC."""
        return time.time_ns() // 1000

    if sys.platform == "linux":

        @staticmethod
        def boottime() -> int:
            """CLOCK_BOOTTIME in microseconds."""
            return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    else:

        @staticmethod
        def boottime() -> int:
            """The monotonic clock in microseconds, where CLOCK_BOOTTIME is missing."""
            return time.monotonic_ns() // 1000


class FileClock:
    """A clock kept in a small file, so that the processes of a test share one held time.

    The file holds two big-endian 64 bit integers: wall clock and boot time, both in microseconds.
    """

    _layout = struct.Struct(">qq")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the clock file at ``path``; made by :class:`coatcheck.testing.FakeClock`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(descriptor, self._layout.size)
        finally:
            os.close(descriptor)

    def now(self) -> int:
        """Wall clock, microseconds UTC."""
        wall: int = self._layout.unpack_from(self._memory)[0]
        return wall

    def boottime(self) -> int:
        """Boot time, microseconds."""
        boot: int = self._layout.unpack_from(self._memory)[1]
        return boot

    def set(self, now: int, boottime: int) -> None:
        """Hold both clocks at these microseconds."""
        self._layout.pack_into(self._memory, 0, now, boottime)


def clock_from(name: str) -> Clock:
    """The clock that a settings text names: ``system`` (default) or ``file:PATH`` (tests).

    Raises ConfigurationError for anything else.
    """
    if name == "system":
        return SystemClock()
    if name.startswith("file:"):
        return FileClock(name[len("file:") :])
    msg = f"unknown clock {name!r}: use 'system' or 'file:PATH'"
    raise ConfigurationError(msg)
