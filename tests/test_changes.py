"""Changes: what they accept, and what they show of themselves."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from coatcheck.changes import (
    AnyChange,
    Append,
    Change,
    Clear,
    DropIfEmpty,
    Increment,
    PushFlash,
    ReplaceFlashes,
    Set,
    SetLifetimes,
    Unset,
)
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes

FLASH = FlashMessage.info("private")
ALL: list[AnyChange] = [
    Set("note", "private"),
    Unset("note"),
    Clear(),
    Increment("hits", 2),
    Append("seen", "private", limit=3),
    SetLifetimes(Lifetimes()),
    PushFlash(FLASH),
    ReplaceFlashes((FLASH,)),
    DropIfEmpty(),
]


@pytest.mark.parametrize("change", ALL, ids=lambda each: type(each).__name__)
def test_repr_names_the_key_never_the_value(change: AnyChange) -> None:
    """A change can be logged: its text has its kind and key only."""
    for text in (repr(change), str(change), f"{change}", repr([change])):
        assert type(change).__name__ in text
        assert "private" not in text
    assert ("note" in repr(change)) == (getattr(change, "key", None) == "note")


@pytest.mark.parametrize("change", ALL, ids=lambda each: type(each).__name__)
def test_a_change_is_a_value(change: AnyChange) -> None:
    """Changes compare by what they hold, cannot be altered, and can be pickled."""
    assert isinstance(change, Change)
    assert pickle.loads(pickle.dumps(change)) == change
    with pytest.raises((AttributeError, TypeError)):
        change.key = "other"  # type: ignore[attr-defined]


def test_defaults() -> None:
    """An increment is by one; an append keeps everything."""
    assert Increment("hits").by == 1
    assert Append("seen", 1).limit is None


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "named"),
    [
        (Set, {"key": 1, "value": "x"}, TypeError, "int"),
        (Unset, {"key": b"key"}, TypeError, "bytes"),
        (Increment, {"key": None}, TypeError, "NoneType"),
        (Append, {"key": ("a",), "item": 1}, TypeError, "tuple"),
        (Increment, {"key": "hits", "by": "1"}, TypeError, "hits"),
        (Increment, {"key": "hits", "by": True}, TypeError, "hits"),
        (Append, {"key": "seen", "item": 1, "limit": 0}, ValueError, "seen"),
        (Append, {"key": "seen", "item": 1, "limit": -1}, ValueError, "seen"),
        (Append, {"key": "seen", "item": 1, "limit": True}, TypeError, "seen"),
        (Append, {"key": "seen", "item": 1, "limit": 2.0}, TypeError, "seen"),
    ],
)
def test_what_cannot_be_a_change(kind: Any, arguments: dict[str, Any], error: type[Exception], named: str) -> None:
    """A wrong key, step or limit is refused where it is written, with its key or type named."""
    with pytest.raises(error, match=named):
        kind(**arguments)
