"""The codec: session values as bytes, and back as they were.

msgpack, and the types that people put into sessions: datetime, date, time and timedelta (aware ones too), UUID,
Decimal, tuple, set, frozenset, ints of any size, Markup. :mod:`coatcheck.codec_types` has the layout of each.

Two promises. *Canonical*: ``pack(unpack(b)) == b`` for whatever ``pack`` made, so that reading is never mistaken
for a change. *Loadable*: what could not be loaded again as it was, is refused when it is saved.

    >>> import datetime
    >>> unpack(pack({"when": datetime.date(2026, 11, 22), "seen": {1, 2}}))
    {'when': datetime.date(2026, 11, 22), 'seen': {1, 2}}
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Final

from msgpack import unpackb

from coatcheck.codec_packers import PACK_ERRORS, pack_checked, pack_quickly, storable, surely_storable
from coatcheck.codec_refusals import MAX_WRAPPED, find_refusal
from coatcheck.codec_types import DECODERS, FROZENSET, SCALARS, SET, TUPLE, encoder_of, type_name
from coatcheck.errors import CorruptRecord, UnstorableValue

__all__ = ["UNPACK_OPTIONS", "ext_hook", "is_mutable", "pack", "packs_to", "unpack"]

_UNPACK_ERRORS: Final = (ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_WRAPPED_OF: Final[dict[int, type]] = {TUPLE: tuple, SET: set, FROZENSET: frozenset}


def pack(value: object, path: str = "value") -> bytes:
    """``value`` as bytes; the same bytes for the same value in every process.

    Types are taken exactly: a subclass (IntEnum, namedtuple, OrderedDict, ...) would come back as something else.
    Containers nest up to 500 deep, tuples and sets among them up to 16.

    Raises UnstorableValue with the path to what cannot be stored, like ``cart[3].when``, its type and the remedy,
    never the value; ``path`` is what the path begins with, usually the session key.
    """
    data = pack_quickly(value)
    if data is None:
        return _pack_carefully(value, path)
    if type(value) not in SCALARS and not surely_storable(data) and not storable(value):
        raise find_refusal(value, path) or _changed(value, path)
    return data


def packs_to(value: object, data: bytes | memoryview) -> bool:
    """Whether ``value`` is packed as ``data``; False for what cannot be stored.

    Cheaper than comparing with :func:`pack`: what equals bytes that were loaded needs no second look.
    """
    packed = pack_quickly(value)
    if packed is not None:
        return packed == data
    return find_refusal(value, "") is None and pack_checked(value) == data


def unpack(data: bytes | memoryview) -> Any:
    """The value that ``data`` was packed from.

    Raises CorruptRecord, which names what is missing or broken and never shows the data, for anything that
    ``pack`` did not make.
    """
    try:
        return unpackb(data, ext_hook=ext_hook, strict_map_key=False, unicode_errors="surrogatepass", timestamp=3)
    except _UNPACK_ERRORS as error:
        msg = f"{len(data)} bytes that are no packed value ({type(error).__name__}): restore them from a backup"
        raise CorruptRecord(msg) from None


def ext_hook(code: int, data: bytes) -> Any:
    """Turn one msgpack ext type into its value.

    Raises CorruptRecord for an ext code that is not ours, a time zone that is not known here, a broken payload.
    """
    return _load(0, code, data)


UNPACK_OPTIONS: Final[dict[str, Any]] = {
    "ext_hook": ext_hook,
    "strict_map_key": False,
    "unicode_errors": "surrogatepass",
    "timestamp": 3,
}
"""Keyword arguments that make ``msgpack.unpackb`` load what :func:`pack` made, for many values in one call.

On a hot path spell them out: ``**UNPACK_OPTIONS`` adds about 200 ns to a call.
"""


def is_mutable(value: object) -> bool:
    """Whether ``value`` could be changed in place, so that only a comparison can tell whether it was.

    True for list, dict, set, a tuple that holds one, and anything that cannot be stored; False for text, numbers,
    dates and the like.
    """
    kind = type(value)
    if kind in SCALARS:
        return False
    if kind is tuple:
        pending: list[Any] = [value]
        while pending:
            for member in pending.pop():
                if type(member) is tuple:
                    pending.append(member)
                elif is_mutable(member):
                    return True
        return False
    return kind is not frozenset and encoder_of(kind) is None


def _load(wrapped: int, code: int, data: bytes) -> Any:
    """The value of an ext type that lies inside so many tuples and sets."""
    try:
        decoder = DECODERS.get(code)
        if decoder is not None:
            return decoder(data)
        container = _WRAPPED_OF.get(code)
        if container is not None:
            # At the limit there is no next hook: damaged bytes must not get deeper than the C stack.
            hook = _HOOKS[wrapped]
            return container(
                unpackb(data, ext_hook=hook, strict_map_key=False, unicode_errors="surrogatepass", timestamp=3)
            )
    except _UNPACK_ERRORS as error:
        msg = f"a broken value with ext code {code} ({type(error).__name__}): restore it from a backup"
        raise CorruptRecord(msg) from None
    msg = f"a value with the unknown ext code {code}: upgrade coatcheck to the version that wrote it"
    raise CorruptRecord(msg)


_HOOKS: Final = [functools.partial(_load, wrapped) for wrapped in range(1, MAX_WRAPPED + 1)]


def _pack_carefully(value: object, path: str) -> bytes:
    refusal = find_refusal(value, path)
    if refusal is None:
        try:
            return pack_checked(value)
        except PACK_ERRORS:
            refusal = _changed(value, path)
    raise refusal


def _changed(value: object, path: str) -> UnstorableValue:
    reason = f"{type_name(type(value))} that changed while it was packed, or is over 4 GiB"
    return UnstorableValue(path, reason, "store a copy that nothing changes")
