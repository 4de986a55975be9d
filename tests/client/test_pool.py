"""The pool of private endpoints."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from coatcheck.client import pool as module
from coatcheck.client.pool import Pool
from coatcheck.testing import together


class End:
    """An endpoint that counts."""

    numbers = itertools.count()
    place: Any = None

    def __init__(self) -> None:
        self.number = next(self.numbers)
        self.users = 0
        self.gone = False

    def call(self, target: Any, request: Any, timeout: float) -> Any:
        """Nobody is there."""
        raise NotImplementedError

    def exit_context(self) -> None:
        """Once."""
        assert not self.gone
        self.gone = True


def test_one_that_went_well_is_used_again() -> None:
    """The one that came back last goes out next."""
    pool = Pool(End, 3)
    one, two = pool.take(1.0), pool.take(1.0)
    assert one is not two
    assert one is not None
    assert two is not None

    pool.give_back(two)
    pool.give_back(one)
    assert pool.take(1.0) is one
    assert pool.take(1.0) is two


def test_one_that_did_not_is_never_seen_again() -> None:
    """It is closed, and its place is free."""
    pool = Pool(End, 1)
    one = pool.take(1.0)
    assert isinstance(one, End)
    pool.destroy(one)

    assert one.gone
    assert pool.take(0.0) is not one


def test_there_are_no_more_than_there_may_be() -> None:
    """Who finds none free waits for as long as it may."""
    pool = Pool(End, 2)
    one, two = pool.take(1.0), pool.take(1.0)
    assert one is not None
    assert two is not None
    assert pool.take(0.01) is None

    pool.give_back(one)
    assert pool.take(1.0) is one


def test_each_has_one_user_at_a_time() -> None:
    """Many threads, few endpoints: none is in two hands."""
    pool, seen = Pool(End, 3), set()

    def use(_: int) -> None:
        for _ in range(200):
            endpoint = pool.take(30.0)
            assert isinstance(endpoint, End)
            endpoint.users += 1
            assert endpoint.users == 1
            seen.add(endpoint.number)
            endpoint.users -= 1
            pool.give_back(endpoint)

    together(8, use)
    assert len(seen) <= 3


def test_one_that_cannot_be_opened_takes_no_place() -> None:
    """An error while opening (too many open files) leaves the pool as it was."""
    failures = [OSError("too many open files")]

    def make() -> End:
        if failures:
            raise failures.pop()
        return End()

    pool = Pool(make, 1)
    with pytest.raises(OSError, match="too many"):
        pool.take(1.0)
    assert pool.take(0.1) is not None


def test_closing_destroys_the_idle_now_and_the_others_later() -> None:
    """An endpoint in use is closed when it comes back."""
    pool = Pool(End, 2)
    one, two = pool.take(1.0), pool.take(1.0)
    assert isinstance(one, End)
    assert isinstance(two, End)
    pool.give_back(one)
    pool.close()
    assert (one.gone, two.gone) == (True, False)

    pool.give_back(two)
    assert two.gone


def test_what_was_not_needed_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rush the endpoints that are no longer needed go away."""
    pool = Pool(End, 3)
    ends = [pool.take(1.0) for _ in range(3)]
    for each in ends:
        assert each is not None
        pool.give_back(each)
    monkeypatch.setattr(module, "_IDLE", 0.0)
    for _ in range(3):
        each = pool.take(1.0)
        assert each is not None
        pool.give_back(each)

    assert [each.gone for each in ends if isinstance(each, End)].count(True) >= 2
