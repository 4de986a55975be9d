"""Work that an actor must not do itself: in threads of its process, one for each queue, in order. Needs no Thespian.

Thespian sends from the actor's own thread only, so what came of a job is fetched there, by :meth:`Jobs.collect`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]
Done = Callable[[Any], None]


class Jobs:
    """Queues of work, each with a thread."""

    def __init__(self) -> None:
        self._queues: dict[str, queue.SimpleQueue[tuple[Work, Done] | None]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._finished: queue.SimpleQueue[tuple[Done, Any]] = queue.SimpleQueue()
        self._pending: dict[str, int] = {}

    def submit(self, name: str, work: Work, done: Done) -> None:
        """Do ``work`` in the thread of that queue; ``done`` gets its result, or its exception, in ``collect``."""
        self._pending[name] = self._pending.get(name, 0) + 1
        jobs = self._queues.get(name)
        if jobs is None:
            jobs = self._queues[name] = queue.SimpleQueue()
            thread = threading.Thread(target=self._run, args=(jobs,), name=f"coatcheck-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
        jobs.put((work, lambda result: self._finish(name, done, result)))

    def _finish(self, name: str, done: Done, result: Any) -> None:
        self._pending[name] -= 1
        done(result)

    def _run(self, jobs: queue.SimpleQueue[tuple[Work, Done] | None]) -> None:
        while (job := jobs.get()) is not None:
            work, done = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is the result
                result = error
            self._finished.put((done, result))

    def waiting(self, name: str) -> int:
        """How many jobs of that queue are not collected yet."""
        return self._pending.get(name, 0)

    @property
    def pending(self) -> int:
        """How many jobs are not collected yet."""
        return sum(self._pending.values())

    def collect(self) -> int:
        """Call ``done`` for what is finished, in this thread; how many that were."""
        count = 0
        while True:
            try:
                done, result = self._finished.get_nowait()
            except queue.Empty:
                return count
            done(result)
            count += 1

    def stop(self, timeout: float) -> bool:
        """Let the threads end after what they have; False when one goes on after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        for jobs in self._queues.values():
            jobs.put(None)
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads.values())
