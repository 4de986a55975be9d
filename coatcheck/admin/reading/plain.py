"""Session data as JSON can hold it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final


def plain(value: Any) -> Any:
    """A value as dict, list, str, number, bool or None. What JSON does not have is text; bytes are base64."""
    for kind, as_plain in _KINDS:
        if isinstance(value, kind):
            return as_plain(value)
    return str(value)


def _same(value: Any) -> Any:
    return value


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}


def _list(value: Any) -> list[Any]:
    return [plain(each) for each in value]


def _set(value: Any) -> list[Any]:
    return sorted((plain(each) for each in value), key=repr)


def _bytes(value: bytes) -> dict[str, str]:
    return {"base64": b64encode(value).decode("ascii")}


_KINDS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    ((bool, int, float, type(None)), _same),
    (str, str),
    (Mapping, _mapping),
    ((list, tuple), _list),
    ((set, frozenset), _set),
    ((bytes, bytearray), _bytes),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
)
