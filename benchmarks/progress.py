"""How far a long run is: rich's bar in a terminal where rich is installed, else a line on stderr now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

_SECONDS_BETWEEN_LINES: Final = 10.0


class Progress(Protocol):
    """A step of a benchmark that is under way."""

    def advance(self, steps: int = 1) -> None:
        """So many more of the total are done."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """Show ``title`` and how much of ``total`` is done until the block ends."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars
        except ImportError:
            pass
        else:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            # Two refreshes a second: a busy bar would be a competitor of what is measured.
            with Bars(*columns, console=Console(stderr=True), refresh_per_second=2, transient=True) as bars:
                yield _Bar(bars, bars.add_task(title, total=total))
            return
    lines = _Lines(title, total)
    yield lines
    lines.end()


class _Bar:
    def __init__(self, bars: object, task: object) -> None:
        self._bars: object = bars
        self._task = task

    def advance(self, steps: int = 1) -> None:
        self._bars.advance(self._task, steps)  # type: ignore[attr-defined]


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._said = self._began

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            self._say(f"{self._done:,} of {self._total:,}")

    def end(self) -> None:
        self._say(f"done in {time.monotonic() - self._began:.1f} s")

    def _say(self, text: str) -> None:
        print(f"{self._title}: {text}", file=sys.stderr, flush=True)
