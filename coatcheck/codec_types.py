"""How each type that msgpack does not know lies on disk: one ext code and one payload a type.

These numbers and layouts stay in stores for years. Never change or reuse one; a new layout gets a new number.
Integers are big-endian.

====  =========  ==================================================================================================
code  type       payload
====  =========  ==================================================================================================
-1    datetime   of ``timezone.utc`` with fold 0: msgpack's own timestamp, which it unpacks in C, 20 times as fast
1     int        two's complement; only for what does not fit in 64 bits
2     datetime   others: u16 year, u8 month, day, hour, minute, second, u32 microsecond with the fold as top bit; zone
3     date       u16 year, u8 month, u8 day
4     time       u8 hour, minute, second, u32 microsecond with the fold as its top bit; zone
5     timedelta  i32 days, u32 seconds, u32 microseconds
6     UUID       16 bytes; a 17th when ``is_safe`` is known: 1 safe, 0 unsafe
7     Decimal    its text, ASCII
8     tuple      msgpack array
9     set        msgpack array, sorted by packed element
10    frozenset  msgpack array, sorted by packed element
11    Markup     text, UTF-8
====  =========  ==================================================================================================

A zone is nothing (naive), ``U`` (``timezone.utc``), ``O`` and an i64 offset in microseconds, ``N`` and the same
and a name in UTF-8 (a named ``timezone``), or ``K`` and the key of a ``ZoneInfo``. Text may hold lone surrogates.
"""

from __future__ import annotations

import pickle
import struct
import sys
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgpack import ExtType

from coatcheck.errors import CorruptRecord

TIMESTAMP: Final = -1
BIG_INT: Final = 1
DATETIME: Final = 2
DATE: Final = 3
TIME: Final = 4
TIMEDELTA: Final = 5
UUID: Final = 6
DECIMAL: Final = 7
TUPLE: Final = 8
SET: Final = 9
FROZENSET: Final = 10
MARKUP: Final = 11

SCALARS: Final = frozenset({str, int, float, bool, type(None), bytes})
"""The types that msgpack packs by itself and that hold nothing."""

_DATETIME: Final = struct.Struct(">HBBBBBI")
_DATE: Final = struct.Struct(">HBB")
_TIME: Final = struct.Struct(">BBBI")
_TIMEDELTA: Final = struct.Struct(">iII")
_OFFSET: Final = struct.Struct(">q")
_SECONDS: Final = struct.Struct(">I")
_NANOSECONDS_AND_SECONDS: Final = struct.Struct(">Q")
_LONG_TIMESTAMP: Final = struct.Struct(">Iq")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)
_SAFETY: Final = {uuid.SafeUUID.unknown: b"", uuid.SafeUUID.safe: b"\x01", uuid.SafeUUID.unsafe: b"\x00"}
_SAFETY_OF: Final = {code: safety for safety, code in _SAFETY.items()}

Encoder = Callable[[Any], Any]
Decoder = Callable[[bytes], Any]


class Unsupported(TypeError):
    """A value whose type is known but that could not be loaded again; never leaves the codec."""

    def __init__(self, type_name: str, remedy: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name
        self.remedy = remedy


def type_name(kind: type) -> str:
    """The name that an import would use: ``collections.OrderedDict``, and ``list`` for a builtin."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def ext(code: int, payload: bytes) -> Any:
    """An ExtType without the checks of its constructor, which cost more than packing it."""
    return tuple.__new__(ExtType, (code, payload))


def _encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decode_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _encode_zone(zone: tzinfo | None) -> bytes:
    if zone is None:
        return b""
    if zone is timezone.utc:
        return b"U"
    if type(zone) is timezone:
        # Equal offsets make two timezones equal whatever their names; what pickle would pass has the difference.
        arguments: Any = zone.__reduce__()[1]
        offset, *name = arguments
        packed = _OFFSET.pack(offset // _MICROSECOND)
        return b"N" + packed + _encode_text(name[0]) if name else b"O" + packed
    if type(zone) is ZoneInfo:
        return b"K" + _zone_key(zone).encode()
    msg = f"tzinfo {type_name(type(zone))}"
    raise Unsupported(msg, "use zoneinfo.ZoneInfo or datetime.timezone as tzinfo")


def _zone_key(zone: ZoneInfo) -> str:
    try:
        if ZoneInfo(zone.key) is not zone:
            zone.__reduce__()  # refuses a zone read from a file, which may differ from the one its key names
    except (TypeError, ValueError, LookupError, OSError, pickle.PicklingError):
        msg = "a zoneinfo.ZoneInfo that its key does not find again"
        raise Unsupported(msg, "use zoneinfo.ZoneInfo(key) as tzinfo") from None
    return zone.key


def _decode_zone(data: bytes) -> tzinfo | None:
    tag, rest = data[:1], data[1:]
    if not tag:
        return None
    if tag == b"U" and not rest:
        return timezone.utc
    if tag == b"O":
        return timezone(_OFFSET.unpack(rest)[0] * _MICROSECOND)
    if tag == b"N":
        return timezone(_OFFSET.unpack_from(rest)[0] * _MICROSECOND, _decode_text(rest[_OFFSET.size :]))
    if tag == b"K":
        return _find_zone(rest.decode())
    raise ValueError


def _find_zone(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (ValueError, LookupError, OSError):
        msg = f"a time zone that is not known on this host: {key[:64]!r}; pip install tzdata"
        raise CorruptRecord(msg) from None


def _encode_int(value: int) -> Any:
    return ext(BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _decode_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _encode_datetime(value: datetime) -> Any:
    if value.tzinfo is timezone.utc and not value.fold:
        return ext(TIMESTAMP, _timestamp(value))
    packed = _DATETIME.pack(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond | value.fold << 31,
    )
    return ext(DATETIME, packed + _encode_zone(value.tzinfo))


def _timestamp(value: datetime) -> bytes:
    """The shortest of the three forms that the specification of msgpack has."""
    since = value - _EPOCH
    seconds, nanoseconds = since.days * 86_400 + since.seconds, since.microseconds * 1000
    if not 0 <= seconds < 1 << 34:
        return _LONG_TIMESTAMP.pack(nanoseconds, seconds)
    if nanoseconds or seconds >= 1 << 32:
        return _NANOSECONDS_AND_SECONDS.pack(nanoseconds << 34 | seconds)
    return _SECONDS.pack(seconds)


def _decode_datetime(data: bytes) -> datetime:
    year, month, day, hour, minute, second, fraction = _DATETIME.unpack_from(data)
    zone = _decode_zone(data[_DATETIME.size :])
    return datetime(year, month, day, hour, minute, second, fraction & 0x7FFFFFFF, zone, fold=fraction >> 31)


def _encode_date(value: date) -> Any:
    return ext(DATE, _DATE.pack(value.year, value.month, value.day))


def _decode_date(data: bytes) -> date:
    return date(*_DATE.unpack(data))


def _encode_time(value: time) -> Any:
    packed = _TIME.pack(value.hour, value.minute, value.second, value.microsecond | value.fold << 31)
    return ext(TIME, packed + _encode_zone(value.tzinfo))


def _decode_time(data: bytes) -> time:
    hour, minute, second, fraction = _TIME.unpack_from(data)
    return time(hour, minute, second, fraction & 0x7FFFFFFF, _decode_zone(data[_TIME.size :]), fold=fraction >> 31)


def _encode_timedelta(value: timedelta) -> Any:
    return ext(TIMEDELTA, _TIMEDELTA.pack(value.days, value.seconds, value.microseconds))


def _decode_timedelta(data: bytes) -> timedelta:
    return timedelta(*_TIMEDELTA.unpack(data))


def _encode_uuid(value: uuid.UUID) -> Any:
    return ext(UUID, value.bytes + _SAFETY[value.is_safe])


def _decode_uuid(data: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=data[:16], is_safe=_SAFETY_OF[data[16:]])


def _encode_decimal(value: Decimal) -> Any:
    return ext(DECIMAL, str(value).encode())


def _decode_decimal(data: bytes) -> Decimal:
    return Decimal(data.decode())


def _encode_markup(value: str) -> Any:
    return ext(MARKUP, _encode_text(value))


def _decode_markup(data: bytes) -> str:
    try:
        from markupsafe import Markup
    except ImportError:
        return _decode_text(data)
    return Markup(_decode_text(data))  # noqa: S704 - it was Markup when it was stored


_ENCODERS: Final[dict[type, Encoder]] = {
    int: _encode_int,
    datetime: _encode_datetime,
    date: _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
    uuid.UUID: _encode_uuid,
    Decimal: _encode_decimal,
}

DECODERS: Final[dict[int, Decoder]] = {
    BIG_INT: _decode_int,
    DATETIME: _decode_datetime,
    DATE: _decode_date,
    TIME: _decode_time,
    TIMEDELTA: _decode_timedelta,
    UUID: _decode_uuid,
    DECIMAL: _decode_decimal,
    MARKUP: _decode_markup,
}
"""What turns the payload of an ext code into a value, for the types that hold no others."""


def encoder_of(kind: type) -> Encoder | None:
    """What turns a value of exactly this type into an ExtType; None for a type that cannot be stored.

    Markup is looked for among the modules that are loaded: where a value of that type exists, markupsafe is.
    """
    encoder = _ENCODERS.get(kind)
    if encoder is None and kind is getattr(sys.modules.get("markupsafe"), "Markup", None):
        encoder = _ENCODERS[kind] = _encode_markup
    return encoder
