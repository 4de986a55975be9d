"""What a process does about its counters: adds up those of its stores and clients, and writes them down once a second.

Counting itself is adding one to a number in a dict, in whoever counts. Nothing here is on that path, and nothing here
may disturb it: what cannot be written is not written.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from coatcheck.metering import board

FLUSH: Final = 1.0
"""Seconds between two writes."""

_ADD_UP_EVERY: Final = 10
_STOP_WITHIN: Final = 1.0
_numbers = itertools.count()
_log = logging.getLogger("coatcheck.metering")

_Row = tuple[str, Mapping[str, int], dict[str, int]]


class Source:
    """Somebody who counts, such as a store."""

    def __init__(self, meter: Meter, prefix: str, counters: Mapping[str, int]) -> None:
        self._meter = meter
        self._number = next(_numbers)
        meter.rows[self._number] = prefix, counters, {}

    def begin(self) -> None:
        """See that its numbers are written down from now on. Costs next to nothing where they are."""
        self._meter.begin(self._number)

    def end(self) -> None:
        """Its owner closes; it may begin again."""
        self._meter.end(self._number)

    def retire(self) -> None:
        """Its owner is gone for good. Called by the garbage collector, so at any moment: no lock is taken here."""
        row = self._meter.rows.get(self._number)
        if row is not None:
            # In this order: in both it counts once.
            self._meter.retired[self._number] = row
            self._meter.rows.pop(self._number, None)
        self._meter.active.discard(self._number)


class Meter:
    """The counters of one state directory in this process. Get it from :func:`meter_of`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rows: dict[int, _Row] = {}
        """For each source its prefix, its counters, and what they were when they were written down for good."""
        self.retired: dict[int, _Row] = {}
        self.active: set[int] = set()
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a signal handler may come by
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._sheet: board.Sheet | None = None
        self._written: dict[str, int] = {}
        self._failed = False

    def add(self, prefix: str, owner: object, counters: Mapping[str, int]) -> Source:
        """Count what ``owner`` has in ``counters``, as ``prefix.name``, until it is collected; what it had by then too.

        ``owner`` must not be needed by ``counters``.
        """
        source = Source(self, prefix, counters)
        weakref.finalize(owner, source.retire).atexit = False
        return source

    def begin(self, number: int) -> None:
        """See :meth:`Source.begin`."""
        if self._thread is None or number not in self.active:
            self.active.add(number)
            self.wake()

    def end(self, number: int) -> None:
        """See :meth:`Source.end`."""
        if number in self.active:
            self.active.discard(number)
            if not self.active:
                self.rest()

    def wake(self) -> None:
        """Start the thread where anybody counts and there is none, as after a fork."""
        if self._thread is not None or not self.active:
            return
        with self._lock:
            if self._thread is None:
                self._wake = threading.Event()
                thread = threading.Thread(target=self._run, args=(self._wake,), name="coatcheck-meter", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError:
                    # The process has as many as it may have, or it ends: then it is written at the end.
                    self._thread = None

    def rest(self) -> None:
        """Write down what was counted, leave it to the total, and let the thread go."""
        with self._lock:
            self._wake.set()
            thread, self._thread = self._thread, None
            closed = self._leave_sheet()
        # Outside of the lock, which it may be waiting for.
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_WITHIN)
        if closed:
            with suppress(OSError):
                board.add_up(self.home)

    def _leave_sheet(self) -> bool:
        counts, snapshots = self._sums()
        self._write(counts)
        sheet, self._sheet = self._sheet, None
        if sheet is None:
            return False
        sheet.close()
        self._written = {}
        for number, (prefix, counters, _) in list(self.rows.items()):
            if number in snapshots:
                self.rows[number] = prefix, counters, snapshots[number]
        for number in list(self.retired):
            if number in snapshots:
                del self.retired[number]
        return True

    def flush(self) -> None:
        """Write down what was counted, if anything was since the last time."""
        with self._lock:
            self._write(self._sums()[0])

    def forget(self) -> None:
        """In a forked child: what was counted so far was counted by the parent, which also has the thread."""
        if self._sheet is not None:
            self._sheet.close()  # the lock on it stays the parent's
        for number, (prefix, counters, _) in list(self.rows.items()):
            self.rows[number] = prefix, counters, dict(counters)
        self.retired.clear()
        self._renew()

    def _run(self, stop: threading.Event) -> None:
        for turn in itertools.count(1):
            if stop.wait(FLUSH):
                return
            try:
                if not self.active:
                    self.rest()  # all who counted were collected without having been closed
                    return
                self.flush()
                if turn % _ADD_UP_EVERY == 1:
                    board.add_up(self.home)
            except OSError:
                continue
            except Exception:  # noqa: BLE001 - counting must go on, whatever it was
                _log.debug("counters could not be written down", exc_info=True)

    def _sums(self) -> tuple[dict[str, int], dict[int, dict[str, int]]]:
        """What was counted since it was last written down for good, and the counters as they are."""
        rows = {**self.rows}
        rows.update(self.retired)
        sums: Counter[str] = Counter()
        snapshots: dict[int, dict[str, int]] = {}
        for number, (prefix, counters, before) in rows.items():
            now = snapshots[number] = dict(counters)
            for name, count in now.items():
                more = count - before.get(name, 0)
                if more:
                    sums[f"{prefix}.{name}"] += more
        return dict(sums), snapshots

    def _write(self, counts: dict[str, int]) -> None:
        if counts == self._written and not (self._sheet is not None and self._sheet.is_gone):
            return
        try:
            if self._sheet is not None and self._sheet.is_gone:
                self._sheet.close()
                self._sheet = None
            if self._sheet is None:
                self._sheet = board.Sheet(self.home)
            self._sheet.write(counts)
            self._written = counts
        except (OSError, ValueError) as error:
            # The directory is gone, the disk is full: nobody's session fails for a number.
            if not self._failed:
                _log.debug("counters of %s cannot be written down: %s", self.home, error)
            self._failed = True


_meters: weakref.WeakValueDictionary[Path, Meter] = weakref.WeakValueDictionary()
_meters_lock = threading.RLock()  # a signal handler may come by


def meter_of(home: Path) -> Meter:
    """The meter of a state directory in this process."""
    with _meters_lock:
        meter = _meters.get(home)
        if meter is None:
            meter = _meters[home] = Meter(home)
        return meter


def _after_fork_in_child() -> None:
    global _meters_lock  # noqa: PLW0603 - the old one may be held by a thread that does not exist here
    _meters_lock = threading.RLock()
    for meter in list(_meters.values()):
        meter.forget()


def _at_exit() -> None:
    for meter in list(_meters.values()):
        with suppress(Exception):
            meter.rest()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
