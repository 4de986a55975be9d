"""What is inside a sealed frame."""

from __future__ import annotations

import os
import pickle
import pickletools
from typing import Any

import pytest
from thespian.system.messages.admin import QueryExists

from coatcheck.messages import LoadSession
from coatcheck.system.allowed import RefusedByList
from coatcheck.system.payload import read, sender_of, write

SENDER = sender_of("127.0.0.1", 4711)


def test_what_is_written_is_read() -> None:
    """Messages of coatcheck and of Thespian arrive with their sender."""
    sent = LoadSession(token="t")

    assert read(write(SENDER, sent)) == ("127.0.0.1:4711", sent)
    sender, message = read(write(SENDER, QueryExists()))
    assert sender == "127.0.0.1:4711"
    assert isinstance(message, QueryExists)


def test_a_message_meets_no_pickle() -> None:
    """Sessions cross as msgpack bytes: there is nothing in the payload that an unpickler would begin with."""
    payload = write(SENDER, LoadSession(token="t"))

    assert payload.startswith(b"M127.0.0.1:4711\0LoadSession\0")
    with pytest.raises(ValueError):  # noqa: PT011 - whatever pickletools says
        list(pickletools.genops(payload[1:]))


class _Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"A",
        b"M",
        b"P",
        b"Mno end",
        b"X127.0.0.1:1\0",
        b"M127.0.0.1:1\0NoSuchMessage\0\x90",
        b"M127.0.0.1:1\0LoadSession\0",
        b"M127.0.0.1:1\0LoadSession",
        b"M\xff\0LoadSession\0\x90",
        b"M127.0.0.1:1\0\xff\0\x90",
        pickle.dumps(("sender", "message")),
    ],
)
def test_what_is_no_payload_is_a_value_error(payload: bytes) -> None:
    """Nothing but the two kinds is looked into."""
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else, and none of it reaches anybody
        read(payload)


def test_a_pickle_is_read_by_the_list() -> None:
    """Even from one who has the seal."""
    with pytest.raises(RefusedByList):
        read(write(SENDER, _Bomb()))
