"""The sessions that the benchmarks put on every side."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.contents import CHANGED_KEY, READ_KEY, SIZES, VARIANTS, content, packed_size, principal


@pytest.mark.parametrize("size", SIZES)
def test_contents_have_the_size_of_their_name(size: str) -> None:
    """On average a session is within a tenth of the bytes that its size promises."""
    average = statistics.mean(packed_size(content(size, index)) for index in range(VARIANTS))

    assert average == pytest.approx(SIZES[size], rel=0.1)


def test_contents_are_the_same_everywhere_and_differ_between_sessions() -> None:
    """The same number gives equal data, another number another user, and nobody can spoil what the next one gets."""
    first = content("small", 7)
    first["spoiled"] = True

    assert content("small", 7) == {key: value for key, value in first.items() if key != "spoiled"}
    assert content("small", 7)[READ_KEY] == principal(7)
    assert content("small", 7 + VARIANTS)[READ_KEY] == principal(7 + VARIANTS)
    assert CHANGED_KEY in first
