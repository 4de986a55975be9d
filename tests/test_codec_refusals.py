"""What cannot be stored, and how it is told."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import io
import struct
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.codec import pack, packs_to, unpack
from coatcheck.errors import UnstorableValue
from tests.support.values import NOON, VALUES, nested


class Color(enum.IntEnum):
    """An int to msgpack."""

    RED = 1


class Shade(str, enum.Enum):
    """A str to msgpack."""

    DARK = "dark"


class Point(NamedTuple):
    """A tuple to msgpack."""

    x: int


@dataclasses.dataclass
class Item:
    """An object."""

    name: str


class Text(str):
    """A str to msgpack."""

    __slots__ = ()


class Moment(dt.datetime):
    """What freezers of time put in place of datetime."""


class Zone(dt.tzinfo):
    """A zone of another library."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        """None."""
        return dt.timedelta(0)

    def dst(self, when: dt.datetime | None) -> dt.timedelta:
        """None."""
        return dt.timedelta(0)

    def tzname(self, when: dt.datetime | None) -> str:
        """A name."""
        return "UTC"


def zone_from_file(key: str | None) -> zoneinfo.ZoneInfo:
    """A zone that says it has this key but was read from elsewhere."""
    header = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(header), key=key)


def refusal_of(value: Any, path: str = "value") -> UnstorableValue:
    """The error that packing this value raises."""
    with pytest.raises(UnstorableValue) as caught:
        pack(value, path)
    return caught.value


def described_depth(value: Any) -> int:
    """How many containers lie in each other, the first member followed."""
    depth = 0
    while isinstance(value, (list, dict)):
        depth += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    return depth


@pytest.mark.parametrize(
    ("value", "type_name", "remedy"),
    [
        (object(), "object", "plain data"),
        (Color.RED, f"{__name__}.Color", ".value"),
        (Shade.DARK, f"{__name__}.Shade", ".value"),
        (Point(1), f"{__name__}.Point", "._asdict()"),
        (Item("x"), f"{__name__}.Item", "dataclasses.asdict"),
        (Text("x"), f"{__name__}.Text", "plain str"),
        (Moment(2026, 1, 1), f"{__name__}.Moment", "plain datetime.datetime"),
        (collections.OrderedDict(a=1), "collections.OrderedDict", "plain dict"),
        (collections.defaultdict(int), "collections.defaultdict", "plain dict"),
        (bytearray(b"x"), "bytearray", "bytes(...)"),
        (memoryview(b"x"), "memoryview", "bytes(...)"),
        (msgpack.ExtType(2, b"x"), "msgpack.ext.ExtType", "._asdict()"),
        (msgpack.Timestamp(1), "msgpack.ext.Timestamp", "plain data"),
        (1j, "complex", "plain data"),
        (range(3), "range", "plain data"),
        (iter([]), "list_iterator", "plain data"),
        (int, "type", "plain data"),
        (NOON.replace(tzinfo=Zone()), f"datetime.datetime with tzinfo {__name__}.Zone", "zoneinfo.ZoneInfo"),
        (dt.time(tzinfo=Zone()), f"datetime.time with tzinfo {__name__}.Zone", "zoneinfo.ZoneInfo"),
        (NOON.replace(tzinfo=zone_from_file(None)), "zoneinfo.ZoneInfo that its key", "ZoneInfo(key)"),
        (NOON.replace(tzinfo=zone_from_file("UTC")), "zoneinfo.ZoneInfo that its key", "ZoneInfo(key)"),
        (NOON.replace(tzinfo=zone_from_file("No/Such")), "zoneinfo.ZoneInfo that its key", "ZoneInfo(key)"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
@pytest.mark.parametrize("size", [0, 10_000], ids=["small", "big"])
def test_what_would_come_back_as_something_else_is_refused(value: Any, type_name: str, remedy: str, size: int) -> None:
    """A value that could not be loaded as it was is refused, alone or inside, with its path, type and remedy."""
    for holder, path in [
        (value, "cart"),
        ({"other": "x" * size, "deep": [1, {"when": value}]}, "cart.deep[1].when"),
        ([{"when": NOON, "x": "x" * size}, (value,)], "cart[1][0]"),
    ]:
        error = refusal_of(holder, "cart")

        assert error.path == path
        assert type_name in error.type_name
        assert remedy in error.remedy
        assert not packs_to([holder, "\ud800"], b"")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {"b c": [0, 1, object()]}}, "value.a['b c'][2]"),
        ({"it's": object()}, 'value["it\'s"]'),
        ({"new\nline": object()}, "value['new\\nline']"),
        ({"\ud800": object()}, "value['\\ud800']"),
        ({"é": object()}, "value.é"),
        ({"": object()}, "value['']"),
        ({5: [object()]}, "value[5][0]"),
        ({None: object()}, "value[None]"),
        ({10**5000: object()}, "value[<int>]"),
        ({(1, 2): object()}, "value[<tuple>]"),
        ({b"key": object()}, "value[<bytes>]"),
        ({"k" * 100: object()}, f"value['{'k' * 61}...']"),
        ({Color.RED, "a"}, "value{...}"),
        ({"tags": {Color.RED}}, "value.tags{...}"),
        ({"tags": frozenset({(1, Color.RED)})}, "value.tags{...}[1]"),
        ({Color.RED: 1}, "value{key}"),
        ({(1, Text("x")): 1}, "value{key}[1]"),
        ({memoryview(b"x"): 1}, "value{key}"),
        ([[1], [object()], object()], "value[2]"),
    ],
)
def test_the_path_leads_to_the_culprit(value: Any, path: str) -> None:
    """The path has ``.key`` for names, ``['other key']``, ``[i]``, ``{...}`` for elements, ``{key}`` for keys."""
    assert refusal_of(value).path == path


def test_the_value_is_never_shown() -> None:
    """A refusal holds neither the value nor its neighbours, in its text, its cause or its context."""

    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

        __str__ = __repr__

    for value in ([Secret(), "hunter2"], {"k": (Secret(), "hunter2")}, bytearray(b"hunter2"), Text("hunter2")):
        error = refusal_of(value)

        assert "hunter2" not in repr((error, error.args, error.__cause__, error.__context__))


@given(
    VALUES,
    st.sampled_from([bytearray(b"x"), memoryview(b"x"), msgpack.ExtType(5, b""), msgpack.Timestamp(1)]),
    st.integers(0, 3),
    st.booleans(),
)
def test_nothing_slips_through_msgpack(value: Any, alien: Any, depth: int, big: bool) -> None:
    """What msgpack itself would take and return as something else is found in any company."""
    holder = nested(depth, lambda inner: {"a": value, "b": [inner, 1.1]}, alien)

    assert refusal_of([holder, "x" * 5000 if big else ""]).path == "value[0]" + ".b[0]" * depth


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["list", "dict"])
@pytest.mark.parametrize("core", [[], 1, NOON, "\ud800", "x" * 5000], ids=lambda core: type(core).__name__)
def test_depth_has_a_limit_that_loading_keeps(wrap: Callable[[Any], Any], core: Any) -> None:
    """500 containers in each other are stored and loaded; one more is refused."""
    depth = 500 - (core == [])
    value = nested(depth, wrap, core)

    assert described_depth(unpack(pack(value))) == 500
    error = refusal_of(wrap(value))
    assert "nested more than 500 deep" in str(error)
    assert len(error.path) < 200


def test_wide_containers_count_as_deep() -> None:
    """Long lists and dicts, whose heads are others in msgpack, count towards the depth like short ones."""
    wide = nested(
        20, lambda inner: [inner, *range(15)], nested(20, lambda inner: {**dict.fromkeys(range(15)), 15: inner}, 1)
    )
    value = nested(460, lambda inner: [inner], wide)

    assert unpack(pack(value)) == value
    assert "nested more than 500 deep" in str(refusal_of([value]))


@pytest.mark.parametrize("depth", [600, 1024, 1025, 3000, 100_000])
def test_any_depth_is_refused_in_good_order(depth: int) -> None:
    """However deep a structure is, it is refused: not taken for good, no crash, no RecursionError."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]

    assert "nested more than 500 deep" in str(refusal_of(value))
    assert "nested more than 500 deep" in str(refusal_of((value,)))
    while value:
        value = value[0]  # taken apart from outside: freeing it in one go needs a deep stack


@pytest.mark.parametrize("wrap", [lambda inner: (inner,), lambda inner: frozenset([inner])], ids=["tuple", "set"])
def test_wrapped_depth_has_a_limit(wrap: Callable[[Any], Any]) -> None:
    """16 tuples and sets in each other are stored and loaded; one more is refused."""
    value = nested(16, wrap, "core")

    assert unpack(pack(value)) == value
    assert "nested more than 16 deep" in str(refusal_of(wrap(value)))
    assert "nested more than 16 deep" in str(refusal_of(nested(500, wrap, "core")))


def test_self_reference_is_refused() -> None:
    """A structure that contains itself is refused with the path where it does."""
    cart: dict[str, Any] = {"items": [1, {}]}
    cart["items"][1]["cart"] = cart
    twice: list[Any] = []
    twice += [twice, twice]
    wrapped: list[Any] = [NOON]
    wrapped.append((wrapped,))

    assert refusal_of(cart, "cart").path == "cart.items[1].cart"
    assert refusal_of(twice).path == "value[0]"
    assert refusal_of(wrapped).path == "value[1][0]"
    assert "contains itself" in str(refusal_of(cart))


def test_the_same_object_twice_is_no_cycle() -> None:
    """A value that is used in two places is stored in both."""
    shared = [NOON]

    assert unpack(pack([shared, (shared, {"k": shared})])) == [shared, (shared, {"k": shared})]


def test_a_refused_value_leaves_nothing_behind() -> None:
    """After a refusal in the middle of a value the next one packs as ever."""
    before = pack({"a": [1, NOON]})
    refusal_of(["x" * 100, (1, object())])

    assert pack({"a": [1, NOON]}) == before
