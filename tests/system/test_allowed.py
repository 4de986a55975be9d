"""What may be unpickled."""

from __future__ import annotations

import importlib
import os
import pickle
from typing import Any

import pytest

from coatcheck.messages import LoadSession
from coatcheck.system.allowed import ALLOWED, RefusedByList, loads

ran: list[str] = []


class _Bomb:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._what = function, arguments

    def __reduce__(self) -> Any:
        return self._what


def test_messages_are_read() -> None:
    """Coatcheck's messages pass, and so do plain values."""
    sent = LoadSession(token="t")

    assert loads(pickle.dumps((1, "a", sent), 4)) == (1, "a", sent)


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(_Bomb(os.system, "true"), 4),
        pickle.dumps(_Bomb(eval, "1"), 4),
        pickle.dumps(_Bomb(importlib.import_module, "antigravity"), 4),
        pickle.dumps(LoadSession, 4),
        pickle.dumps(ran.append, 4),
        # Protocol 4 follows dots through the attributes of a module: coatcheck.messages.packing.os.system
        b"\x80\x04\x8c\x1acoatcheck.messages.packing\x8c\tos.system\x93\x8c\x04true\x85R.",
        b"\x80\x04\x8c\x1acoatcheck.messages.packing\x8c\x10restore.__code__\x93.",
        b"ccoatcheck.messages.packing\nos.system\n(S'true'\ntR.",
        b"cposix\nsystem\n(S'true'\ntR.",
    ],
)
def test_nothing_else_is_found(pickled: bytes) -> None:
    """A class or function that is not on the list is refused before it is even imported."""
    with pytest.raises(RefusedByList, match="not on the list"):
        loads(pickled)


def test_a_refusal_is_not_remembered_as_found() -> None:
    """The cache of what was found holds nothing that was refused."""
    for _ in range(2):
        with pytest.raises(RefusedByList):
            loads(pickle.dumps(_Bomb(os.system, "true"), 4))


def test_the_list_has_no_dots_and_everything_on_it_exists() -> None:
    """Each entry is one attribute of one module."""
    for module, names in ALLOWED.items():
        for name in names:
            assert "." not in name
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
