"""A clock that stands still until the test moves it."""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from coatcheck.clock import SECOND, FileClock, microseconds

START: Final = 1_767_225_600 * SECOND
"""Where a new clock stands: 2026-01-01T00:00:00Z, in microseconds."""

BOOTED: Final = 3600 * SECOND
"""Boot time of a new clock: one hour, in microseconds."""


class FakeClock:
    """A held clock, for the ``clock`` argument of a store.

    Without ``path`` it belongs to one process. With one it is kept in that file (made when absent), and every process
    whose ``Settings.clock`` is :attr:`setting` sees the same time; one process at a time may move it.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, now: int = START, boottime: int = BOOTED) -> None:
        """Hold the clock at ``now`` and ``boottime`` (microseconds); a file that exists keeps its own time."""
        self._path = None if path is None else Path(path).absolute()
        self._held = (now, boottime)
        self._file: FileClock | None = None
        if self._path is not None:
            _make(self._path, now, boottime)
            self._file = FileClock(self._path)

    @property
    def setting(self) -> str:
        """The text for ``Settings.clock`` and ``COATCHECK_CLOCK``. Raises ValueError for a clock without a file."""
        if self._path is None:
            msg = "this clock lives in one process: FakeClock(path) makes one that others can share"
            raise ValueError(msg)
        return f"file:{self._path}"

    def now(self) -> int:
        """Wall clock, microseconds UTC."""
        return self._held[0] if self._file is None else self._file.now()

    def boottime(self) -> int:
        """Boot time, microseconds."""
        return self._held[1] if self._file is None else self._file.boottime()

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self._set(self.now() + microseconds(seconds), self.boottime() + microseconds(seconds))

    def step(self, seconds: float) -> None:
        """Put the wall clock forward, or back when negative, as an administrator would; no time passes."""
        self._set(self.now() + microseconds(seconds), self.boottime())

    def until(self, moment: int) -> None:
        """Let time pass up to that moment (microseconds UTC). Raises ValueError for one in the past."""
        if moment < self.now():
            msg = f"that moment was {(self.now() - moment) / SECOND} seconds ago: step() goes back"
            raise ValueError(msg)
        self._set(moment, self.boottime() + moment - self.now())

    def _set(self, now: int, boottime: int) -> None:
        if self._file is None:
            self._held = (now, boottime)
        else:
            self._file.set(now, boottime)

    def __repr__(self) -> str:
        wall = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self.now())
        return f"FakeClock({wall.isoformat()})"


def _make(path: Path, now: int, boottime: int) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".clock-") as whole:
        whole.write(struct.pack(">qq", now, boottime))
        whole.flush()
        # A link appears with all its bytes: another process never opens a clock that is half made.
        with suppress(FileExistsError):
            os.link(whole.name, path)
