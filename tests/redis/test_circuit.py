"""The circuit breaker: opens after failures in a row, lets one through now and then, closes by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from benchmarks.servers import free_port, running
from coatcheck.errors import StoreUnavailable
from coatcheck.redis import RedisStore
from coatcheck.redis.circuit import Circuit, Pauses
from coatcheck.settings import Settings
from coatcheck.testing import StoreContract
from tests.support import redis_servers


class Time:
    """A clock to turn by hand."""

    now = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


@pytest.fixture
def clock() -> Time:
    """The clock of the circuit."""
    return Time()


@pytest.fixture
def circuit(clock: Time) -> Circuit:
    """One that opens at the second failure, for at most a second."""
    return Circuit(2, Pauses(1.0, 1.0), clock)


def fail(circuit: Circuit, error: Exception | None = None) -> None:
    """One call that nobody answers."""
    with pytest.raises(redis.RedisError), circuit.guard():
        raise error or redis.ConnectionError


def test_it_opens_after_failures_in_a_row(circuit: Circuit, clock: Time) -> None:
    """A success in between begins the count anew; once it is open nobody gets through, and is told since when."""
    fail(circuit)
    with circuit.guard():
        pass
    fail(circuit)
    assert not circuit.is_open
    fail(circuit, redis.TimeoutError())
    clock.now += 0.25

    assert circuit.is_open
    assert circuit.open_for == 0.25
    assert circuit.opened == 1
    with pytest.raises(StoreUnavailable, match=r"for 0\.2 s now"), circuit.guard():
        pytest.fail("nobody may get here")


def test_one_finds_out(circuit: Circuit, clock: Time) -> None:
    """After the pause a single caller tries; where it fails the others go on being refused, for another pause."""
    fail(circuit)
    fail(circuit)
    clock.now += 1.0
    circuit.enter()
    with pytest.raises(StoreUnavailable):
        circuit.enter()
    circuit.failed()
    with pytest.raises(StoreUnavailable):
        circuit.enter()
    clock.now += 1.0
    with circuit.guard():
        pass

    assert not circuit.is_open
    assert circuit.open_for == 0.0
    circuit.enter()


@pytest.mark.parametrize(
    "error", [redis.ResponseError("WRONGTYPE"), redis.AuthenticationError(), redis.exceptions.NoPermissionError()]
)
def test_an_error_that_is_an_answer_is_no_outage(circuit: Circuit, error: Exception) -> None:
    """Somebody is there, and says no."""
    for _ in range(5):
        fail(circuit, error)

    assert not circuit.is_open


def test_pauses_grow_and_differ() -> None:
    """Twice as long each time, up to the longest; by chance up to a half shorter, so that hosts come one by one."""
    pauses = Pauses(0.1, 0.8)
    first = [pauses.next() for _ in range(6)]

    assert all(most / 2 <= each <= most for each, most in zip(first, (0.1, 0.2, 0.4, 0.8, 0.8, 0.8), strict=True))
    assert first[4] != first[5]
    pauses.reset()
    assert pauses.next() <= 0.1


def test_a_store_fails_fast_and_comes_back(tmp_path: Path) -> None:
    """While Redis is down a verb costs no connection attempt; when it is there again the store works by itself."""
    port = free_port()
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    with RedisStore(settings, f"redis://127.0.0.1:{port}") as store:
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                store.create({})
        with pytest.raises(StoreUnavailable, match="s now"):
            store.create({})
        arguments = [redis_servers.program(), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        with running(arguments, tmp_path / "log") as process:
            redis_servers.until_it_answers(port, process, tmp_path / "log")
            end = time.monotonic() + 30
            while True:
                try:
                    token, _ = store.create({"a": 1})
                    break
                except StoreUnavailable:
                    assert time.monotonic() < end
                    time.sleep(0.02)

            assert store.load(token) is not None
            assert not store.driver.circuit.is_open
