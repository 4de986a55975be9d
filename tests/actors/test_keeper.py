"""Keeping one child alive."""

from __future__ import annotations

import pytest

from coatcheck.actors.keeper import LATELY, SILENCE, Keeper


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def time() -> Time:
    """A held clock."""
    return Time()


@pytest.fixture
def keeper(time: Time) -> Keeper:
    """With its child started as ``local-1``, which has spoken as ``real-1``, process 11."""
    keeper = Keeper("Child", time)
    assert keeper.due()
    keeper.started("local-1")
    assert not keeper.due()
    assert not keeper.alive
    keeper.spoke("local-1", 11)
    keeper.spoke("local-1", 11)
    return keeper


def test_an_end_is_heard_once(keeper: Keeper) -> None:
    """Said twice, the second time after the successor was started, it does not end the successor."""
    assert keeper.ended("local-1")
    assert keeper.due()
    keeper.started("local-2")
    keeper.spoke("local-2", 12)

    assert not keeper.ended("local-1")
    assert keeper.alive
    assert keeper.pid == 12
    assert keeper.restarts == 1


def test_strangers_are_not_believed(keeper: Keeper) -> None:
    """Neither the word nor the end of somebody else counts."""
    assert not keeper.spoke("stranger", 99)
    assert not keeper.ended("stranger")
    assert keeper.pid == 11


def test_the_pause_grows_and_is_forgotten(keeper: Keeper, time: Time) -> None:
    """The first restart is at once; a child that ends at once each time waits longer and longer, up to 5 seconds."""
    pauses = []
    for number in range(10):
        assert keeper.ended(keeper.address)
        pauses.append(round(keeper.wait(), 3))
        assert keeper.due() == (pauses[-1] == 0)
        time.now += pauses[-1]
        assert keeper.due()
        keeper.started(f"local-{number}")
    assert pauses == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]

    keeper.spoke(keeper.address, 11)
    time.now += 1
    keeper.ended(keeper.address)
    assert keeper.wait() == 0


def test_who_is_killed_again_and_again_is_started_at_once(keeper: Keeper, time: Time) -> None:
    """It is not its own fault: a child that has worked for a second is missed by those whom it served."""
    for number in range(5):
        time.now += 1
        assert keeper.ended(keeper.address)
        assert keeper.due()
        keeper.started(f"local-{number}")
        keeper.spoke(f"local-{number}", 20 + number)


def test_a_child_that_never_spoke_has_ended_at_once(keeper: Keeper, time: Time) -> None:
    """However long its start took."""
    assert not keeper.starting
    keeper.ended(keeper.address)
    assert not keeper.starting
    keeper.started("local-2")
    assert keeper.starting
    assert keeper.wait() == 0.1
    time.now += 20

    assert keeper.ended("local-2")
    assert not keeper.due()


def test_silence_is_noticed(keeper: Keeper, time: Time) -> None:
    """A child that does not speak for long is taken for hung, also one that never spoke."""
    time.now += SILENCE
    assert not keeper.hung()
    time.now += 0.1
    assert keeper.hung()
    keeper.spoke("local-1", 11)
    assert not keeper.hung()

    keeper.ended("local-1")
    assert not keeper.hung()
    keeper.started("local-2")
    time.now += SILENCE + 0.1
    assert keeper.hung()
    assert keeper.pid is None


def test_the_description(keeper: Keeper, time: Time) -> None:
    """What stands in the supervisor's report."""
    time.now += 1.5

    assert keeper.describe(str.upper) == {
        "actor": "Child",
        "address": "LOCAL-1",
        "pid": 11,
        "state": "alive",
        "restarts": 0,
        "restarts_lately": 0,
        "seen": 1.5,
    }
    keeper.ended("local-1")
    assert keeper.describe(str.upper)["state"] == "absent"
    keeper.started("local-2")
    assert keeper.describe(str.upper)["state"] == "starting"
    assert keeper.describe(str.upper)["restarts"] == keeper.describe(str.upper)["restarts_lately"] == 1
    time.now += LATELY
    assert (keeper.describe(str.upper)["restarts"], keeper.describe(str.upper)["restarts_lately"]) == (1, 0)
