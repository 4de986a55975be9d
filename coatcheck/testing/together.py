"""Many threads at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


def together(count: int, work: Callable[[int], Answer], *, timeout: float = 30.0) -> list[Answer]:
    """Call ``work(0)`` to ``work(count - 1)`` in ``count`` threads that start at the same moment.

    Returns the answers in that order. Raises the first error of a thread, and TimeoutError when one has not answered
    within ``timeout`` seconds.
    """
    start = threading.Barrier(count)

    def run(number: int) -> Answer:
        start.wait(timeout)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, number) for number in range(count)]
        return [each.result(timeout) for each in futures]
