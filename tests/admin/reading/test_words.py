"""Times, sizes and names as people read them."""

from __future__ import annotations

import pytest

from coatcheck.admin.reading.words import clock_time, device, duration, moment, printable, size
from coatcheck.clock import NEVER


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "no limit"),
        (0, "0 s"),
        (0.25, "0.2 s"),
        (59.6, "60 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (86400 * 30, "30 d"),
        (90061, "1 d 1 h"),
        (-5, "-5 s"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    """Two units at most."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 30, "64 GiB"), (5 << 50, "5120 TiB")]
)
def test_sizes(count: int, words: str) -> None:
    """In the unit that makes a small number."""
    assert size(count) == words


def test_times() -> None:
    """UTC, for people and for programs; what never comes is said so."""
    assert clock_time(1_000_000) == "1970-01-01 00:00:01"
    assert moment(1_500_000) == "1970-01-01T00:00:01.500000+00:00"
    assert (clock_time(NEVER), moment(NEVER)) == ("never", None)


def test_names_cannot_command_a_terminal() -> None:
    """Escapes, newlines and directions are shown as question marks."""
    assert printable("a\x1b[2J\n\u202eb") == "a?[2J??b"
    assert device({"ip": "::1", "user_agent": "x\x07", "other": "y"}) == "::1 x?"
