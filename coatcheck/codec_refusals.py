"""Why a value cannot be stored, and where in it the reason lies.

A slow walk over the whole value, taken when quick packing failed or may have taken what it should not.
Nothing here shows a value: a refusal names places and types.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, repeat
from typing import Any, Final, NamedTuple
from uuid import UUID

from coatcheck.codec_types import SCALARS, Unsupported, encoder_of, type_name
from coatcheck.errors import UnstorableValue

MAX_DEPTH: Final = 500
"""Containers in containers. Below the limits of every msgpack: 511 to pack, 1,024 to unpack."""

MAX_WRAPPED: Final = 16
"""Tuples and sets in tuples and sets. Each is unpacked by a call of its own that takes 41 kB of the C stack, and
threads have as little as 1 MiB (Alpine): what one thread packs must not crash another that loads it."""

WRAPPED: Final = frozenset({tuple, set, frozenset})
"""The containers that are packed as an ext type."""

CONTAINERS: Final = WRAPPED | {list, dict}
"""The types that hold other values."""

_KEY: Final = object()
_ELEMENT: Final = object()

_PLAIN_TYPES: Final = (
    *(str, int, float, bytes, dict, list, tuple, set, frozenset),
    *(datetime, date, time, timedelta, UUID, Decimal),
)


class _Place(NamedTuple):
    """A container, and where in which other one it lies."""

    container: Any
    parent: _Place | None = None
    where: Any = None
    depth: int = 1
    wrapped: int = 0


def find_refusal(value: object, path: str) -> UnstorableValue | None:
    """The error that names the first thing in ``value`` that cannot be stored; None when all of it can."""
    if type(value) not in CONTAINERS:
        problem = _problem_of(value)
        return UnstorableValue(path, *problem) if problem else None
    pending = [_Place(value, wrapped=type(value) in WRAPPED)]
    while pending:
        place = pending.pop()
        if place.depth > MAX_DEPTH or place.wrapped > MAX_WRAPPED:
            return _too_deep(place, path)
        inner = []
        for where, member in _members(place.container):
            kind = type(member)
            if kind in SCALARS:
                continue
            if kind in CONTAINERS:
                inner.append(_Place(member, place, where, place.depth + 1, place.wrapped + (kind in WRAPPED)))
                continue
            problem = _problem_of(member)
            if problem:
                return UnstorableValue(_path_to(place, path) + _step(place.container, where), *problem)
        # Last in, first out: a value that holds itself twice is followed down one way, not both at every level.
        pending.extend(reversed(inner))
    return None


def _members(container: Any) -> Iterable[tuple[Any, Any]]:
    if type(container) is dict:
        return chain(zip(repeat(_KEY), container), container.items())
    if type(container) is list or type(container) is tuple:
        return enumerate(container)
    return zip(repeat(_ELEMENT), container)


def _problem_of(value: object) -> tuple[str, str] | None:
    kind = type(value)
    if kind in SCALARS:
        return None
    encoder = encoder_of(kind)
    if encoder is None:
        return type_name(kind), _remedy_for(kind)
    try:
        encoder(value)
    except Unsupported as error:
        return f"{type_name(kind)} with {error.type_name}", error.remedy
    return None


def _remedy_for(kind: type) -> str:
    if issubclass(kind, (bytearray, memoryview)):
        return "store bytes(...), as it would come back"
    if issubclass(kind, enum.Enum):
        return "store its .value"
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return "store tuple(...) or its ._asdict()"
    if dataclasses.is_dataclass(kind):
        return "store dataclasses.asdict(...)"
    for plain in _PLAIN_TYPES:
        if issubclass(kind, plain):
            return f"store a plain {type_name(plain)}: a subclass would not come back as one"
    return "store plain data (str, int, list, dict, datetime, ...), or a key to find the object by"


def _too_deep(place: _Place, path: str) -> UnstorableValue:
    seen: dict[int, _Place] = {}
    for each in _way_to(place):
        name = type_name(type(each.container))
        if id(each.container) in seen:
            return UnstorableValue(_path_to(each, path), f"{name} that contains itself", "store it without the cycle")
        seen[id(each.container)] = each
    if place.wrapped > MAX_WRAPPED:
        reason = f"tuples and sets nested more than {MAX_WRAPPED} deep"
        return UnstorableValue(_path_to(place, path), reason, "use lists, or a flatter form")
    return UnstorableValue(_path_to(place, path), f"nested more than {MAX_DEPTH} deep", "use a flatter form")


def _way_to(place: _Place) -> list[_Place]:
    way = []
    step: _Place | None = place
    while step is not None:
        way.append(step)
        step = step.parent
    return way[::-1]


def _path_to(place: _Place, root: str) -> str:
    steps = [_step(each.parent.container, each.where) for each in _way_to(place) if each.parent]
    if len(steps) > 20:
        steps[10:-5] = ["..."]
    return root + "".join(steps)


def _step(container: object, where: Any) -> str:
    if where is _ELEMENT:
        return "{...}"
    if where is _KEY:
        return "{key}"
    if type(container) is not dict:
        return f"[{where}]"
    if type(where) is str:
        key = where if len(where) <= 64 else where[:61] + "..."
        return f".{key}" if key.isidentifier() else f"[{key!r}]"
    if where is None or type(where) is bool or (type(where) is int and where.bit_length() <= 64):
        return f"[{where}]"
    return f"[<{type_name(type(where))}>]"
