"""The thread that has a host's duty: goes on whatever happens, with pauses, and ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.redis.circuit import Pauses
from coatcheck.redis.duties import duty_of
from coatcheck.redis.duty import DutyThread
from coatcheck.settings import Settings


class Planned:
    """A duty whose steps go as planned: an error is raised, a number is the pause."""

    def __init__(self, *plan: Any) -> None:
        self.plan = list(plan)
        self.done = threading.Event()
        self.closed = threading.Event()

    def step(self) -> float:
        """The next of the plan."""
        if not self.plan:
            self.done.set()
            return 60.0
        each = self.plan.pop(0)
        if isinstance(each, BaseException):
            raise each
        return float(each)

    def signals(self) -> Mapping[str, Any]:
        """How much is left."""
        return {"left": len(self.plan)}

    def close(self) -> None:
        """It is said."""
        self.closed.set()


def test_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Each outage is said once when it begins and once when it is over; meanwhile the error can be seen."""
    duty = Planned(0, StoreUnavailable("gone"), StoreUnavailable("gone still"), 0, 0)
    thread = DutyThread(lambda: duty, Pauses(0.001, 0.002))
    with caplog.at_level("INFO", "coatcheck.redis"):
        thread.ensure()
        assert duty.done.wait(30)
    assert thread.error is None
    assert thread.stop(30)

    assert duty.closed.is_set()
    assert [each.getMessage() for each in caplog.records] == ["Redis: gone", "Redis: the planned works again"]


def test_what_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a step ends neither the thread nor the duty."""
    monkeypatch.setattr("coatcheck.redis.duty._AFTER_MISTAKE", 0.001)
    duty = Planned(ZeroDivisionError(), 0)
    thread = DutyThread(lambda: duty)
    thread.ensure()

    assert duty.done.wait(30)
    assert thread.alive
    assert thread.stop(30)


def test_it_is_made_when_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A duty that cannot be made yet is made later, in the thread."""
    monkeypatch.setattr("coatcheck.redis.duty._AFTER_MISTAKE", 0.001)
    duty, tries = Planned(), [ConfigurationError("not yet"), StoreUnavailable("nor now")]
    names = set()

    def make() -> Planned:
        names.add(threading.current_thread().name)
        if tries:
            raise tries.pop(0)
        return duty

    thread = DutyThread(make, Pauses(0.001, 0.002))
    thread.ensure()
    thread.ensure()

    assert duty.done.wait(30)
    assert names == {"coatcheck-redis"}
    assert thread.stop(30)


def test_it_can_be_hurried() -> None:
    """A pause ends when there is something to do; and it stops in the middle of one."""
    duty = Planned(60.0)
    thread = DutyThread(lambda: duty)
    thread.ensure()
    thread.hurry()

    assert duty.done.wait(30)
    assert thread.stop(30)
    thread.ensure()
    assert not thread.alive


def test_a_host_without_redis_has_no_duty() -> None:
    """Nothing is done by mistake."""
    with pytest.raises(ConfigurationError, match="redis is 'none'"):
        duty_of(Settings())
