"""The codec against bytes that it never made."""

from __future__ import annotations

import contextlib
import uuid

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.codec import pack, unpack
from coatcheck.errors import CorruptRecord
from tests.support.values import BERLIN, NOON


def ext(code: int, payload: bytes) -> bytes:
    """A packed ext type as another program could write it."""
    data: bytes = msgpack.packb(msgpack.ExtType(code, payload))
    return data


def pack_in_tuple(data: bytes) -> bytes:
    """The packed tuple of one packed member."""
    return ext(8, b"\x91" + data)


SAMPLE = {"a": [1.5, "text", b"bytes", 2**70], "b": (NOON.replace(tzinfo=BERLIN), {uuid.UUID(int=7)}), "c": None}


def test_every_truncation_is_noticed() -> None:
    """Cut anywhere, or with a byte too many, packed bytes are a CorruptRecord."""
    data = pack(SAMPLE)

    for broken in [*(data[:size] for size in range(len(data))), data + b"\0"]:
        with pytest.raises(CorruptRecord):
            unpack(broken)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(ext, st.integers(0, 127), st.binary(max_size=40)),
        st.builds(ext, st.integers(1, 11), st.builds(msgpack.packb, st.lists(st.integers(0, 300)))),
        st.builds(
            lambda data, place, byte: data[:place] + bytes([byte]) + data[place + 1 :],
            st.just(pack(SAMPLE)),
            st.integers(0, len(pack(SAMPLE)) - 1),
            st.integers(0, 255),
        ),
    )
)
def test_any_bytes_load_or_are_corrupt(data: bytes) -> None:
    """Whatever bytes are loaded, they are a value or a CorruptRecord, never another error."""
    with contextlib.suppress(CorruptRecord):
        unpack(data)


@pytest.mark.parametrize("key", ["No/Such", "America", "../../../etc/passwd", "/etc/passwd", "", "\0"])
def test_an_unknown_time_zone_is_named(key: str) -> None:
    """A time zone that this host does not know is named, with the package that brings it."""
    data = ext(2, bytes.fromhex("07ea0b160c00000001e240") + b"K" + key.encode())

    with pytest.raises(CorruptRecord, match="pip install tzdata") as caught:
        unpack(pack_in_tuple(data))

    assert repr(key) in str(caught.value)


def test_an_unknown_ext_code_is_named() -> None:
    """A value of a type from the future says which version of coatcheck is needed: the one that wrote it."""
    with pytest.raises(CorruptRecord, match="ext code 99: upgrade coatcheck"):
        unpack(pack_in_tuple(ext(99, b"hunter2")))


def test_an_error_never_shows_the_data() -> None:
    """What is broken is not shown, in text, cause or a context that would be printed."""
    for data in (b"\xa9hunter2", ext(2, b"hunter2"), ext(7, b"hunter2"), b"\xa8hunter2\xff", b"\xa7hunter2!"):
        with pytest.raises(CorruptRecord) as caught:
            unpack(data)

        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_bytes_nested_deeper_than_the_stack_do_not_crash() -> None:
    """Tuples in tuples beyond what is ever packed are a CorruptRecord, not the end of the process."""
    data = b"\x01"
    for _ in range(2000):
        data = pack_in_tuple(data)

    with pytest.raises(CorruptRecord):
        unpack(data)
