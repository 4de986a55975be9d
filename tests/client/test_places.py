"""Places that nobody can keep by accident."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from coatcheck.client.places import Places
from coatcheck.client.pool import Pool
from coatcheck.testing import together
from tests.client.test_pool import End


def test_there_are_no_more_than_there_may_be() -> None:
    """Who finds none free waits as long as it may; one that is dropped is free."""
    places = Places(2)
    one, two = places.take(0.0), places.take(0.0)
    assert one is not None
    assert two is not None
    assert places.take(0.01) is None

    del one

    assert places.take(0.0) is not None
    assert places.taken == 1


def test_threads_take_turns() -> None:
    """However many want one, no more have one at a time, and each gets one."""
    places, inside, most = Places(3), [], []

    def use(_: int) -> None:
        for _ in range(50):
            place = places.take(30.0)
            assert place is not None
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            del place

    together(12, use)

    assert max(most) <= 3
    assert places.taken == 0


class Interrupted(BaseException):
    """What the handler raises."""


@pytest.fixture
def interrupting() -> Iterator[None]:
    """SIGALRM raises, wherever it comes."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    former = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


@pytest.mark.usefixtures("interrupting")
def test_an_exception_at_any_moment_keeps_no_place() -> None:
    """A time limit of a worker may strike between any two steps: nobody is kept waiting for good, and none is lost."""
    pool, interrupted, end = Pool(End, 4), 0, time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while True:
                    endpoint = pool.take(1.0)
                    assert endpoint is not None
                    pool.give_back(endpoint)
                    del endpoint
            finally:
                endpoint = None
        except Interrupted:
            interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)

    assert interrupted > 100
    assert pool.places.taken == 0
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(pool.take(1.0)), daemon=True)
    thread.start()
    thread.join(10)
    assert isinstance(results[0], End)
