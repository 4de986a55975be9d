"""Values to store: every type of the codec, drawn by hypothesis, and what to compare them by."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import struct
import subprocess
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from markupsafe import Markup

UTC = dt.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOON = dt.datetime.fromisoformat("2026-11-22T12:00:00.123456")

ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(
        dt.timezone,
        st.timedeltas(dt.timedelta(hours=-23, minutes=-59), dt.timedelta(hours=23, minutes=59)),
    ),
    st.builds(
        dt.timezone,
        st.timedeltas(dt.timedelta(hours=-23, minutes=-59), dt.timedelta(hours=23, minutes=59)),
        st.text(max_size=5),
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]).map(zoneinfo.ZoneInfo),
)
ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates too
HASHABLE_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    ANY_TEXT,
    st.binary(max_size=20),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.builds(dt.datetime.replace, st.datetimes(timezones=ZONES), fold=st.sampled_from([0, 1])),
    st.dates(),
    st.times(timezones=ZONES),
    st.builds(dt.time.replace, st.times(timezones=ZONES), fold=st.sampled_from([0, 1])),
    st.timedeltas(),
    st.uuids(),
    st.builds(uuid.UUID, int=st.integers(0, 2**128 - 1), is_safe=st.sampled_from(uuid.SafeUUID)),
    st.decimals().filter(lambda number: not number.is_snan()),
    ANY_TEXT.map(Markup),
)
HASHABLE = st.recursive(
    HASHABLE_SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)),
    max_leaves=4,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=8,
)


def described(value: Any) -> Any:
    """What there is to know about a value, in a form that compares NaNs, zones, folds and types too."""
    kind = type(value)
    content: Any = value
    if kind is dict:
        content = [(described(key), described(member)) for key, member in value.items()]
    elif kind in {list, tuple}:
        content = [described(member) for member in value]
    elif kind in {set, frozenset}:
        content = sorted(map(repr, map(described, value)))
    elif kind is float:
        content = struct.pack(">d", value)
    elif kind in {dt.datetime, dt.time}:
        content = repr(value.replace(tzinfo=None)), type(value.tzinfo), repr(value.tzinfo)
    elif kind is decimal.Decimal:
        content = value.as_tuple()
    elif kind is uuid.UUID:
        content = value.int, value.is_safe
    return kind, content


def nested(depth: int, wrap: Callable[[Any], Any], core: Any) -> Any:
    """``core`` inside so many containers."""
    for _ in range(depth):
        core = wrap(core)
    return core


def printed_by(program: str, **environ: str) -> str:
    """What a Python of its own prints for this program."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
