"""Bodies, packed lists and records as bytes: what goes in comes out, and rubbish is named as such."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coatcheck.codec import pack, unpack
from coatcheck.errors import ChangeRefused, CorruptRecord
from coatcheck.store import body
from coatcheck.store.body import Body
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.packed_list import append
from coatcheck.store.record import Record

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20), st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
)
texts = st.text(max_size=20)


@given(data=st.dictionaries(texts, values, max_size=8), flashes=st.lists(texts, max_size=4))
def test_a_body_holds_what_was_put_in(data: dict[str, Any], flashes: list[str]) -> None:
    """Each value, all values, the flashes and the order of the keys come out as they went in."""
    takes = [["t" * 32, 5, [pack("taken")]]] if flashes else []
    raw = body.join({key: pack(value) for key, value in data.items()}, [pack(each) for each in flashes], takes)

    parsed = Body(raw)

    assert parsed.values() == data
    assert list(parsed.values()) == list(data)
    assert {key: unpack(packed) for key, packed in parsed.packed_values().items()} == data
    assert {key: parsed.value(key) for key in data} == data
    assert [unpack(each) for each in parsed.flashes()] == flashes
    assert parsed.takes() == takes
    assert parsed.packed("no such key" * 5) is None


@given(
    have=st.one_of(st.none(), st.lists(scalars, max_size=40)),
    item=values,
    limit=st.one_of(st.none(), st.integers(1, 40)),
)
@example(have=[0] * 14, item=1, limit=None)
@example(have=[0] * 15, item=1, limit=None)
@example(have=[0] * 16, item=1, limit=16)
@example(have=[0] * 65535, item=1, limit=None)
def test_append_is_append(have: list[Any] | None, item: Any, limit: int | None) -> None:
    """Appending to the packed list gives the packed form of the list with the item appended, and cut to its limit."""
    packed = append(None if have is None else pack(have), pack(item), limit, "key")

    assert packed == pack([*(have or []), item][-(limit or 10**9) :])


@pytest.mark.parametrize("other", ["text", 5, {"a": 1}, (1, 2), None, {1, 2}, b"bytes"])
def test_append_to_what_is_no_list(other: Any) -> None:
    """Only a list can be appended to; the error names the key and what is there."""
    with pytest.raises(ChangeRefused, match="'key'") as caught:
        append(pack(other), pack(1), None, "key")

    assert type(other).__name__ in str(caught.value)


def use(record: Record) -> None:
    """Look at everything that a record has."""
    record.values()
    [record.data[key] for key in record.data]
    record.flashes  # noqa: B018
    record.body.takes()
    record.info()
    record.meta  # noqa: B018
    record.lifetimes  # noqa: B018


@given(rubbish=st.binary(max_size=300))
def test_rubbish_for_a_record_is_corrupt(rubbish: bytes) -> None:
    """Bytes that are no record are CorruptRecord, and nothing else."""
    with pytest.raises(CorruptRecord):
        use(Record.from_wire(rubbish))


@pytest.mark.parametrize("big", [False, True])
def test_a_record_with_a_wrong_byte(store: LmdbStore, big: bool) -> None:
    """Whichever byte of a record is changed: it is read as something, or refused for its form, and nothing worse."""
    _, record = store.create(
        {"a": [1, {"b": 2}], "text": "x" * (3000 if big else 3)}, principal="ann", meta={"ip": "x"}
    )
    wire = record.to_wire()
    refused = 0
    for place in (*range(min(300, len(wire))), *range(300, len(wire), 37)):
        for change in (0x01, 0x80, 0xFF):
            spoilt = bytearray(wire)
            spoilt[place] ^= change
            try:
                use(Record.from_wire(bytes(spoilt)))
            except (CorruptRecord, ValueError, TypeError, AttributeError):
                refused += 1
    assert refused > 50
