"""The codec: what is stored comes back as it was, and packs to the same bytes again."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import sys
import uuid
import zoneinfo
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from coatcheck.codec import UNPACK_OPTIONS, is_mutable, pack, packs_to, unpack
from tests.support.values import ANY_TEXT, BERLIN, NOON, UTC, VALUES, described, printed_by


class Point(NamedTuple):
    """A tuple that would come back as a plain one."""

    x: int


@given(VALUES)
def test_what_was_stored_comes_back(value: Any) -> None:
    """Every value that can be stored comes back with its types, zones, folds, order and bits."""
    assert described(unpack(pack(value))) == described(value)


@given(VALUES)
def test_reading_is_no_change(value: Any) -> None:
    """What was loaded packs to the same bytes, so a reader never becomes a writer."""
    data = pack(value)

    assert pack(unpack(data)) == data
    assert packs_to(unpack(data), data)


@given(st.dictionaries(ANY_TEXT, VALUES, max_size=5))
def test_many_values_load_in_one_call(values: dict[str, Any]) -> None:
    """Packed values side by side in one msgpack map load together with the exported options."""
    packer = msgpack.Packer(unicode_errors="surrogatepass")
    parts = [packer.pack(key) + pack(value) for key, value in values.items()]
    body = packer.pack_map_header(len(parts)) + b"".join(parts)

    assert described(msgpack.unpackb(body, **UNPACK_OPTIONS)) == described(values)


@pytest.mark.parametrize(
    "value",
    [
        *(2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 2**71, -(2**71), 10**5000),
        *(dt.datetime.min, dt.datetime.max),  # noqa: DTZ901 - naive ones are stored too
        *(dt.date.min, dt.date.max, dt.time.max),
        *(dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1)),
        *(decimal.Decimal(text) for text in ("sNaN123", "-0", "1E+999999999999999999", "0.10", "-Infinity")),
        *("\ud800", "\ud83d\ude00", Markup("\udfff"), {"\ud800": ["\udc00"]}),
        *(float("nan"), {float("nan"), float("inf")}, b"", b"\xc4\xd5", (), [], {}, set(), frozenset()),
        *({(1, frozenset({b"x"})): {2}}, [1, 1.0, True, None]),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
        dt.time(12, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
        NOON.replace(tzinfo=dt.timezone(dt.timedelta(microseconds=-1))),
        NOON.replace(tzinfo=dt.timezone(dt.timedelta(0), "UTC")),
        NOON.replace(tzinfo=zoneinfo.ZoneInfo.no_cache("Europe/Berlin")),
        uuid.uuid1(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_edges_come_back(value: Any) -> None:
    """The smallest, biggest and oddest values of each type come back, and pack to the same bytes again."""
    data = pack(value)

    assert described(unpack(data)) == described(value)
    assert pack(unpack(data)) == data


def test_two_nans_stay_two() -> None:
    """Elements and keys that pack to the same bytes but differ, as NaNs do, are not merged."""
    nans = [float("nan"), float("nan")]

    assert len(unpack(pack(set(nans)))) == 2
    assert len(unpack(pack(dict.fromkeys(nans)))) == 2


def test_a_memoryview_of_packed_bytes_loads() -> None:
    """Bytes need not be copied out of the store to be loaded."""
    assert unpack(memoryview(pack([1, (2,)]))) == [1, (2,)]


def test_set_bytes_do_not_depend_on_the_process() -> None:
    """A set has the same bytes in every process, whatever its hash seed."""
    program = "from coatcheck.codec import pack; print(pack({c * 9 for c in 'abcdefghij'}).hex())"

    assert len({printed_by(program, PYTHONHASHSEED=seed) for seed in "1234"}) == 1


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (2**64, "c70901010000000000000000"),
        (NOON, "c70b0207ea0b160c00000001e240"),
        (NOON.replace(fold=1), "c70b0207ea0b160c00008001e240"),
        (NOON.replace(tzinfo=UTC), "d7ff1d6f28006b02d940"),
        (NOON.replace(tzinfo=UTC, microsecond=0), "d6ff6b02d940"),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 1, UTC), "c70cff000003e8ffffffffffffffff"),
        (dt.datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC), "d7ff0000000100000000"),
        (NOON.replace(tzinfo=UTC, fold=1), "c70c0207ea0b160c00008001e24055"),
        (NOON.replace(tzinfo=BERLIN), "c7190207ea0b160c00000001e2404b4575726f70652f4265726c696e"),
        (dt.date(2026, 11, 22), "d60307ea0b16"),
        (dt.time(1, 2, 3, 4), "c7070401020300000004"),
        (dt.time(1, tzinfo=dt.timezone(dt.timedelta(hours=-1))), "d804010000000000004fffffffff296c5c00"),
        (
            dt.time(1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
            "c71304010000000000004e00000000d693a400434554",
        ),
        (dt.timedelta(-1, 2, 3), "c70c05ffffffff0000000200000003"),
        (uuid.UUID(int=1), "d80600000000000000000000000000000001"),
        (uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe), "c711060000000000000000000000000000000101"),
        (uuid.UUID(int=1, is_safe=uuid.SafeUUID.unsafe), "c711060000000000000000000000000000000100"),
        (decimal.Decimal("-1.50"), "c705072d312e3530"),
        ((1, "a"), "d6089201a161"),
        ({2, 1}, "c70309920102"),
        (frozenset({"b", "a"}), "c7050a92a161a162"),
        (Markup("<b>"), "c7030b3c623e"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_layout_on_disk_stays(value: Any, data: str) -> None:
    """Each ext type has the very bytes that stores hold from earlier versions."""
    assert pack(value).hex() == data
    assert described(unpack(bytes.fromhex(data))) == described(value)


def test_markup_stays_markup() -> None:
    """Text that was marked as safe comes back as safe, plain text as plain."""
    assert [type(each) for each in unpack(pack([Markup("<b>"), "<b>"]))] == [Markup, str]


def test_without_markupsafe_it_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without markupsafe stored Markup loads as str, which templates escape."""
    data = pack([Markup("<b>")])
    monkeypatch.setitem(sys.modules, "markupsafe", None)

    (text,) = unpack(data)

    assert type(text) is str
    assert text == "<b>"


def test_markupsafe_is_not_imported_for_others() -> None:
    """Packing and refusing without Markup does not import markupsafe."""
    program = (
        "import sys; from coatcheck.codec import pack\n"
        "try: pack({'a': [1, (2,), object()]})\n"
        "except TypeError: print('markupsafe' in sys.modules)"
    )

    assert printed_by(program) == "False"


@pytest.mark.parametrize(
    "value",
    [
        *("", 1, 2**70, 1.5, True, None, b"", NOON, NOON.date(), NOON.time(), dt.timedelta(), uuid.UUID(int=0)),
        *(decimal.Decimal(1), Markup(""), (), (1, (2, "x")), frozenset({(1,)})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_change_needs_no_comparison(value: Any) -> None:
    """Text, numbers, dates and tuples of them cannot be changed in place."""
    assert not is_mutable(value)


@pytest.mark.parametrize(
    "value",
    [[], {}, set(), (1, []), (1, (2, ({},))), bytearray(), collections.OrderedDict(), object(), Point(1)],
    ids=lambda value: type(value).__name__,
)
def test_what_may_change_is_compared(value: Any) -> None:
    """Containers, tuples that hold one, and everything unknown may be changed in place."""
    assert is_mutable(value)


def test_only_the_same_value_packs_to_the_bytes() -> None:
    """Any change in place is seen: a value, a type, the order of keys."""
    data = pack({"a": 1, "b": (2, NOON)})

    assert packs_to({"a": 1, "b": (2, NOON)}, data)
    for other in ({"a": 1.0, "b": (2, NOON)}, {"b": (2, NOON), "a": 1}, {"a": 1, "b": [2, NOON]}, {"a": 1}, 1):
        assert not packs_to(other, data)


def test_a_cycle_packs_to_nothing() -> None:
    """A value that has come to contain itself is changed, whatever it was."""
    value: list[Any] = [NOON]
    data = pack(value)
    value[0] = (value,)

    assert not packs_to(value, data)
    assert not packs_to("text", data)
