"""Who sweeps while others work: the verb, called by a process that has the duty, or the manager of an actor system."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import coatcheck
from benchmarks.ours import actor_system
from benchmarks.progress import progress
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore

_SYNC_EVERY: Final = 1.0
_LOOK_EVERY: Final = 0.05
_STALLED: Final = 120.0


@dataclass(frozen=True)
class Swept:
    """What sweeping until nothing was due has done."""

    removed: int
    """Sessions."""

    seconds: float
    """From the moment at which they were due."""

    @property
    def rate(self) -> float:
        """Sessions a second."""
        return self.removed / self.seconds


Sweep = Callable[[int], Swept]
"""Sweeps, or waits until it is done, down to this many sessions."""


@contextmanager
def by_verb(home: Path, settings: dict[str, str], limit: int) -> Iterator[Sweep]:
    """This process has the duty, so nobody else sweeps; it syncs each second as any holder of the duty does."""
    store = LmdbStore(Settings.load(home, environ={}, **settings), background=False)
    if not store.upkeep.acquire():
        msg = "somebody else has the duty of a store that only this benchmark knows"
        raise RuntimeError(msg)
    stop = threading.Event()

    def sync() -> None:
        while not stop.wait(_SYNC_EVERY):
            store.upkeep.sync()

    def sweep(down_to: int) -> Swept:
        before = store.stats().sessions
        began = time.monotonic()
        with progress("sweeping", before - down_to) as bar:
            while True:
                report = store.sweep(limit)
                bar.advance(report.removed)
                if report.held:
                    msg = "nothing was swept: the store distrusts the clock (see doctor)"
                    raise RuntimeError(msg)
                if not report.more:
                    seconds = time.monotonic() - began
                    return Swept(before - store.stats().sessions, seconds)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield sweep
    finally:
        stop.set()
        thread.join()
        store.upkeep.release()
        store.close()


@contextmanager
def by_manager(home: Path, settings: dict[str, str]) -> Iterator[Sweep]:
    """An actor system runs, and its manager has the duty; this process only looks how far it is."""
    with actor_system(home, COATCHECK_CLOCK=settings["clock"]), coatcheck.connect(home, **settings) as client:

        def wait(down_to: int) -> Swept:
            total = left = client.stats().sessions
            began = heard = time.monotonic()
            with progress("sweeping", total - down_to) as bar:
                while left > down_to:
                    time.sleep(_LOOK_EVERY)
                    now = client.stats().sessions
                    if now < left:
                        heard = time.monotonic()
                        bar.advance(left - now)
                        left = now
                    elif time.monotonic() - heard > _STALLED:
                        msg = f"the manager has swept nothing for {_STALLED:.0f} s, and {left - down_to:,} are due"
                        raise RuntimeError(msg)
            return Swept(total - left, time.monotonic() - began)

        yield wait
