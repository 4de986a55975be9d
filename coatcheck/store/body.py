"""The body of a session: its keys and values and flashes, framed so that a save need not decode what it keeps.

``length of A (4) | length of the index (4) | A | flashes | takes``. A is one packed array: the index, then the values.
The index is an array of the keys, the lengths of their packed values, the lengths of the packed flashes, and the
length of the packed takes. A save cuts the body into its values by their lengths; a load unpacks all in one call.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack

from coatcheck.codec import ext_hook, unpack
from coatcheck.errors import CorruptRecord

_HEAD: Final = struct.Struct(">II")
ARRAY: Final = struct.Struct(">BI")
_INDEX: Final = _HEAD.size + ARRAY.size
_USUAL_INDEX: Final = 1024
UNREADABLE: Final = "the body of a session cannot be read: run 'check', then restore a backup"
SURROGATES: Final = "surrogatepass"

Take = list[Any]
"""``[take id, microseconds UTC, [packed flash, ...]]``"""


class Body:
    """A parsed body whose values are still packed."""

    __slots__ = ("_index", "flash_lengths", "keys", "lengths", "raw", "start", "takes_length")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        if not raw:
            self.keys: list[str] = []
            self.lengths: list[int] = []
            self.flash_lengths: list[int] = []
            self.start = self.takes_length = 0
            return
        try:
            self.start = _INDEX + _HEAD.unpack_from(raw)[1]
            self.keys, self.lengths, self.flash_lengths, self.takes_length = msgpack.unpackb(
                raw[_INDEX : self.start], unicode_errors=SURROGATES
            )
        except (ValueError, TypeError, struct.error) as error:
            raise CorruptRecord(UNREADABLE) from error

    def values(self) -> dict[str, Any]:
        """Everything decoded at once."""
        return values_of(self.raw)

    def packed_values(self) -> dict[str, bytes]:
        """Each key with its packed value, in order."""
        raw, begin = self.raw, self.start
        values = {}
        for key, length in zip(self.keys, self.lengths, strict=True):
            end = begin + length
            values[key] = raw[begin:end]
            begin = end
        return values

    def packed(self, key: str) -> bytes | None:
        """The packed value of one key, or None."""
        try:
            place = self.keys.index(key)
        except ValueError:
            return None
        start = self.start + sum(self.lengths[:place])
        return self.raw[start : start + self.lengths[place]]

    def replaced(self, key: str, packed: bytes) -> bytes | None:
        """The body with this value under a key, all else as it is; None when the key is not there yet."""
        try:
            place = self.keys.index(key)
        except ValueError:
            return None
        raw, lengths = self.raw, self.lengths
        begin = self.start + sum(lengths[:place])
        end = begin + lengths[place]
        if len(packed) == lengths[place]:
            return b"".join((raw[:begin], packed, raw[end:]))
        lengths = [*lengths[:place], len(packed), *lengths[place + 1 :]]
        head = _head(self.keys, lengths, self.flash_lengths, self.takes_length)
        return b"".join((head, raw[self.start : begin], packed, raw[end:]))

    def value(self, key: str) -> Any:
        """One value decoded; KeyError when it is not there."""
        packed = self.packed(key)
        if packed is None:
            raise KeyError(key)
        return _unpack(key, packed)

    def flashes(self) -> list[bytes]:
        """The packed flashes, oldest first."""
        position = self.start + sum(self.lengths)
        flashes = []
        for length in self.flash_lengths:
            flashes.append(self.raw[position : position + length])
            position += length
        return flashes

    def takes(self) -> list[Take]:
        """What was taken lately and may be restored."""
        return self.take_pieces()

    def take_pieces(self) -> list[Take]:
        """The same, its flashes as they lie there."""
        if not self.takes_length:
            return []
        takes: list[Take] = msgpack.unpackb(self.raw[len(self.raw) - self.takes_length :])
        return takes


def values_of(raw: bytes) -> dict[str, Any]:
    """All values of a body, decoded in one call."""
    if not raw:
        return {}
    try:
        (keys, _, _, _), *values = msgpack.unpackb(
            memoryview(raw)[_HEAD.size : _HEAD.size + _HEAD.unpack_from(raw)[0]],
            ext_hook=ext_hook,
            strict_map_key=False,
            unicode_errors=SURROGATES,
            timestamp=3,
        )
        return dict(zip(keys, values, strict=True))
    except Exception:  # noqa: BLE001 - one by one, so that the error names the key
        return {key: _unpack(key, packed) for key, packed in Body(raw).packed_values().items()}


def _unpack(key: str, packed: bytes) -> Any:
    try:
        return unpack(packed)
    except CorruptRecord as error:
        msg = f"session key {key!r}: {error}"
        raise CorruptRecord(msg) from error


def join(values: dict[str, bytes], flashes: list[bytes], takes: list[Take]) -> bytes:
    """The body of these; nothing when there is nothing."""
    if not (values or flashes or takes):
        return b""
    packed_takes: bytes = msgpack.packb(takes) if takes else b""
    head = _head(list(values), list(map(len, values.values())), list(map(len, flashes)), len(packed_takes))
    return b"".join((head, *values.values(), *flashes, packed_takes))


def _head(keys: list[str], lengths: list[int], flash_lengths: list[int], takes_length: int) -> bytes:
    """All that stands before the values."""
    packer = msgpack.Packer(unicode_errors=SURROGATES, buf_size=_USUAL_INDEX)
    index: bytes = packer.pack((keys, lengths, flash_lengths, takes_length))
    region = ARRAY.size + len(index) + sum(lengths)
    return b"".join((_HEAD.pack(region, len(index)), ARRAY.pack(0xDD, len(keys) + 1), index))


def size_of(values: dict[str, bytes], flashes: list[bytes]) -> int:
    """Bytes that count against the limit of a session."""
    return sum(map(len, values)) + sum(map(len, values.values())) + sum(map(len, flashes))
