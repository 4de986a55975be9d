"""Lifetimes: the deadline they give, their defaults and presets, and what cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.clock import NEVER, SECOND
from coatcheck.lifetimes import ANONYMOUS, DAY, HOUR, MINUTE, PRESETS, SIGNED_IN, Lifetimes, preset


def test_defaults() -> None:
    """Half an hour of idle time for all; four hours for the anonymous, a day for the signed in."""
    assert (ANONYMOUS.idle, ANONYMOUS.absolute) == (30 * MINUTE, 4 * HOUR)
    assert (SIGNED_IN.idle, SIGNED_IN.absolute) == (30 * MINUTE, DAY)
    assert Lifetimes() == SIGNED_IN


@pytest.mark.parametrize(
    ("idle", "interval"), [(1800.0, 60.0), (1200.0, 60.0), (600.0, 30.0), (1.0, 0.05), (None, 60.0), (10 * DAY, 60.0)]
)
def test_default_touch_interval(idle: float | None, interval: float) -> None:
    """A touch is stored at most once a minute, or once a twentieth of a short idle time."""
    assert Lifetimes(idle=idle).touch_interval == interval


def test_deadline_is_the_earlier_of_both() -> None:
    """The deadline is the idle one until the absolute one comes first."""
    lifetimes = Lifetimes(idle=100, absolute=250)

    assert lifetimes.deadline(last_seen=0, started=0) == 100 * SECOND
    assert lifetimes.deadline(last_seen=100 * SECOND, started=0) == 200 * SECOND
    assert lifetimes.deadline(last_seen=150 * SECOND, started=0) == 250 * SECOND
    assert lifetimes.deadline(last_seen=240 * SECOND, started=0) == 250 * SECOND


def test_deadline_without_limits() -> None:
    """Without a limit a session ends never; with one of them, by that one alone."""
    assert Lifetimes(idle=None, absolute=None).deadline(0, 0) == NEVER
    assert Lifetimes(idle=None, absolute=5).deadline(last_seen=4 * SECOND, started=SECOND) == 6 * SECOND
    assert Lifetimes(idle=5, absolute=None).deadline(last_seen=4 * SECOND, started=SECOND) == 9 * SECOND


def test_fractions_of_a_second_count() -> None:
    """Lifetimes need not be whole seconds."""
    assert Lifetimes(idle=0.5, absolute=None).deadline(0, 0) == 500_000


@pytest.mark.parametrize("name", ["idle", "absolute", "touch_interval"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (1e12, ValueError),
        ("60", TypeError),
        (True, TypeError),
        ([60], TypeError),
    ],
)
def test_what_cannot_be_a_lifetime(name: str, value: Any, error: type[Exception]) -> None:
    """A lifetime is a positive, finite number of seconds or None; the error names which one is wrong."""
    with pytest.raises(error, match=name):
        Lifetimes(**{name: value})


def test_a_lifetime_of_zero_is_a_mistake() -> None:
    """A session that ends at once is refused; a touch interval of zero stores every touch."""
    for name in ("idle", "absolute"):
        with pytest.raises(ValueError, match=name):
            Lifetimes(**{name: 0})

    assert Lifetimes(touch_interval=0).touch_interval == 0


def test_a_touch_interval_fits_into_the_idle_time() -> None:
    """Were touches stored less often than the idle time, every session would end in use."""
    with pytest.raises(ValueError, match="touch_interval"):
        Lifetimes(idle=60, touch_interval=60)


def test_presets() -> None:
    """Presets have names; a wrong one is answered with all of them."""
    assert preset("nist-aal2") == Lifetimes(idle=HOUR, absolute=DAY)
    assert preset("nist-aal3") == Lifetimes(idle=15 * MINUTE, absolute=12 * HOUR)
    assert preset("nist-aal1").absolute == 30 * DAY
    assert preset("remember-me").idle == 14 * DAY
    with pytest.raises(ValueError, match="nist-aal1") as caught:
        preset("forever")
    assert all(name in str(caught.value) for name in PRESETS)
