"""The system's clocks, the one in a file, and the one that tests hold."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from coatcheck.clock import NEVER, SECOND, FileClock, SystemClock, clock_from, microseconds
from coatcheck.errors import ConfigurationError
from coatcheck.testing import FakeClock


def test_seconds_become_whole_microseconds() -> None:
    """A float of seconds is rounded, never truncated, to an integer of microseconds."""
    assert microseconds(1) == SECOND
    assert microseconds(0.1 + 0.2) == 300_000
    assert microseconds(0.000_000_6) == 1
    assert microseconds(-1.5) == -1_500_000


def test_never_is_later_than_any_date() -> None:
    """The deadline of what does not expire lies after the year 9999 and fits eight signed bytes."""
    last = datetime.max.replace(tzinfo=timezone.utc).timestamp()

    assert microseconds(last) < NEVER
    assert NEVER.to_bytes(8, "big", signed=True)


def test_system_clock_tells_microseconds_utc() -> None:
    """The wall clock is the machine's, in integer microseconds."""
    before = time.time_ns() // 1000
    now = SystemClock().now()
    after = time.time_ns() // 1000

    assert isinstance(now, int)
    assert before <= now <= after


def test_boottime_only_goes_forward() -> None:
    """Boot time is an integer of microseconds that does not go back."""
    clock = SystemClock()
    readings = [clock.boottime() for _ in range(100)]

    assert readings == sorted(readings)
    assert isinstance(readings[0], int)


def test_clock_from_names() -> None:
    """``system`` is the machine's clock; nothing else is guessed."""
    assert isinstance(clock_from("system"), SystemClock)
    with pytest.raises(ConfigurationError, match="sundial"):
        clock_from("sundial")


def test_clock_from_a_file(tmp_path: Path) -> None:
    """``file:PATH`` is the clock that a FakeClock keeps there, and follows it."""
    held = FakeClock(tmp_path / "clock")
    clock = clock_from(held.setting)
    assert isinstance(clock, FileClock)
    assert (clock.now(), clock.boottime()) == (held.now(), held.boottime())

    held.advance(2.5)

    assert (clock.now(), clock.boottime()) == (held.now(), held.boottime())


def test_fake_clock_stands_still_until_moved() -> None:
    """A held clock moves by ``advance`` and ``until`` alone, both of its hands together."""
    clock = FakeClock(now=10 * SECOND, boottime=SECOND)
    assert (clock.now(), clock.boottime()) == (10 * SECOND, SECOND)

    clock.advance(1.5)
    assert (clock.now(), clock.boottime()) == (11_500_000, 2_500_000)

    clock.until(12 * SECOND)
    assert (clock.now(), clock.boottime()) == (12 * SECOND, 3 * SECOND)
    with pytest.raises(ValueError, match="ago"):
        clock.until(0)


def test_step_moves_the_wall_clock_alone() -> None:
    """A step is what an administrator does: boot time does not notice."""
    clock = FakeClock(now=100 * SECOND, boottime=SECOND)

    clock.step(-90)

    assert (clock.now(), clock.boottime()) == (10 * SECOND, SECOND)


def test_fake_clock_in_a_file_keeps_its_time(tmp_path: Path) -> None:
    """A second FakeClock on the same file joins the time that is held there."""
    first = FakeClock(tmp_path / "clock", now=5 * SECOND, boottime=SECOND)
    second = FakeClock(tmp_path / "clock", now=77 * SECOND)
    assert second.now() == 5 * SECOND

    second.advance(1)

    assert (first.now(), first.boottime()) == (6 * SECOND, 2 * SECOND)
    assert [each.name for each in tmp_path.iterdir()] == ["clock"]


def test_processes_share_a_fake_clock(tmp_path: Path) -> None:
    """Another process reads the held time by the text that Settings.clock takes."""
    clock = FakeClock(tmp_path / "clock")
    clock.advance(3)
    code = "import sys; from coatcheck.clock import clock_from; print(clock_from(sys.argv[1]).now())"

    answer = subprocess.run([sys.executable, "-c", code, clock.setting], capture_output=True, text=True, check=True)

    assert int(answer.stdout) == clock.now()


def test_a_clock_without_a_file_cannot_be_shared() -> None:
    """Asking a clock of one process for its setting says how to make one that others see."""
    with pytest.raises(ValueError, match=r"FakeClock\(path\)"):
        _ = FakeClock().setting


def test_the_kit_needs_no_pytest() -> None:
    """FakeClock can be imported where pytest is not installed."""
    code = "import sys; sys.modules['pytest'] = None; from coatcheck.testing import FakeClock; print(FakeClock())"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout == "FakeClock(2026-01-01T00:00:00+00:00)\n"
