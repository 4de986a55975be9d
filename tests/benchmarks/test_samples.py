"""Medians, tails and ratios: what every number of the benchmarks goes through."""

from __future__ import annotations

from array import array

import pytest

from benchmarks.samples import Series, ratio, summarize


def test_summary_takes_nearest_ranks_in_microseconds() -> None:
    """Of the durations 1 to 1,000 us the median is 500, p90 900, p99 990, and the longest is kept."""
    found = summarize(number * 1_000 for number in range(1_000, 0, -1))

    assert (found.count, found.p50, found.p90, found.p99, found.max) == (1_000, 500, 900, 990, 1_000)


def test_one_duration_is_its_own_summary() -> None:
    """A single duration is median and maximum alike."""
    found = summarize([1_500])

    assert (found.count, found.p50, found.p99, found.max) == (1, 1.5, 1.5, 1.5)


def test_nothing_measured_is_an_error() -> None:
    """An empty series is refused rather than reported as zero."""
    with pytest.raises(ValueError, match="nothing was measured"):
        summarize([])


def test_ratio_pairs_the_rounds() -> None:
    """A round in which the whole machine was slow changes neither the ratio nor its spread."""
    slow, fast = Series(), Series()
    for noise in (1, 1, 1, 7):
        slow.add(array("q", [6_000 * noise] * 5))
        fast.add(array("q", [2_000 * noise] * 5))

    found = ratio(slow, fast)

    assert (found.value, found.low, found.high, found.calm) == (3.0, 3.0, 3.0, 3.0)


def test_ratio_refuses_sides_with_different_rounds() -> None:
    """Rounds that have no partner mean that something went wrong."""
    slow, fast = Series(), Series()
    slow.add(array("q", [1]))

    with pytest.raises(ValueError, match="zip"):
        ratio(slow, fast)
