"""The body of a sealed session: the same parts as a plain one, each of them sealed by itself.

``length of the index (4) | index | values | flashes | takes``. The index holds the names of the keys, and the lengths
of the pieces. What lies in the takes are flashes as they were sealed, so that taking and giving back opens nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgpack

from coatcheck.codec import ext_hook
from coatcheck.errors import CorruptRecord
from coatcheck.sealing import FLASH, ID_SIZE, INDEX, OVERHEAD, TAKES, value_place
from coatcheck.store.body import ARRAY, SURROGATES, UNREADABLE, Body, Take

if TYPE_CHECKING:
    from coatcheck.sealing import Seal

LENGTH: Final = struct.Struct(">I")


class SealedBody(Body):
    """A parsed body whose values are opened when they are asked for."""

    __slots__ = ("_opened", "_seal", "index")

    def __init__(self, raw: bytes, seal: Seal) -> None:
        """Raises EncryptionKeyMissing, and CorruptRecord."""
        self._seal = seal
        self._opened: dict[str, bytes] = {}
        self.index = b""
        if not raw:
            super().__init__(raw)
            return
        self.raw = raw
        try:
            self.start = LENGTH.size + LENGTH.unpack_from(raw)[0]
            self.index = seal.open(INDEX, raw[LENGTH.size : self.start])
            self.keys, self.lengths, self.flash_lengths, self.takes_length = msgpack.unpackb(
                self.index, unicode_errors=SURROGATES
            )
        except (ValueError, TypeError, struct.error) as error:
            raise CorruptRecord(UNREADABLE) from error
        if self.start + sum(self.lengths) + sum(self.flash_lengths) + self.takes_length != len(raw):
            raise CorruptRecord(UNREADABLE)

    @property
    def is_current(self) -> bool:
        """Whether it is sealed under the newest key; whoever seals a body seals all of it under one."""
        return not self.raw or self._seal.is_current(self.raw[LENGTH.size :])

    @property
    def size(self) -> int:
        """Bytes that count against the limit of a session: those that are sealed, not what sealing adds."""
        lengths = [*self.lengths, *self.flash_lengths]
        return sum(map(len, self.keys)) + sum(lengths) - OVERHEAD * len(lengths)

    # Sealed ----------------------------------------------------------------------------------------------------

    def pieces(self) -> dict[str, bytes]:
        """Each key with its sealed value, in order."""
        return super().packed_values()

    def flash_pieces(self) -> list[bytes]:
        """The sealed flashes, oldest first."""
        return super().flashes()

    def take_pieces(self) -> list[Take]:
        """What was taken lately, its flashes still sealed."""
        if not self.takes_length:
            return []
        takes: list[Take] = msgpack.unpackb(self._seal.open(TAKES, self.raw[len(self.raw) - self.takes_length :]))
        return takes

    # Opened ----------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Everything decoded at once."""
        packed = self.packed_values()
        self._opened = packed
        array = b"".join((ARRAY.pack(0xDD, len(packed)), *packed.values()))
        try:
            values = msgpack.unpackb(
                array, ext_hook=ext_hook, strict_map_key=False, unicode_errors=SURROGATES, timestamp=3
            )
            return dict(zip(packed, values, strict=True))
        except Exception:  # noqa: BLE001 - one by one, so that the error names the key
            return {key: self.value(key) for key in packed}

    def packed_values(self) -> dict[str, bytes]:
        """Each key with its packed value, in order."""
        opener, begin = self._seal.open, self.start
        raw, packed = self.raw, {}
        for key, length in zip(self.keys, self.lengths, strict=True):
            end = begin + length
            packed[key] = opener(value_place(key), raw[begin:end])
            begin = end
        return packed

    def packed(self, key: str) -> bytes | None:
        """The packed value of one key, or None."""
        if key not in self._opened:
            piece = super().packed(key)
            if piece is None:
                return None
            self._opened[key] = self._seal.open(value_place(key), piece)
        return self._opened[key]

    def flashes(self) -> list[bytes]:
        """The packed flashes, oldest first."""
        return [self._seal.open(FLASH, piece) for piece in self.flash_pieces()]

    def takes(self) -> list[Take]:
        """What was taken lately and may be restored."""
        return [
            [take_id, at, [self._seal.open(FLASH, piece) for piece in pieces]]
            for take_id, at, pieces in self.take_pieces()
        ]


def join(
    values: dict[str, bytes], flashes: list[bytes], takes: list[Take], seal: Seal, before: SealedBody | None
) -> bytes:
    """The body of these pieces; nothing when there is nothing.

    ``before``: the body that they were part of. An index that still says the same is taken as it is.
    """
    if not (values or flashes or takes):
        return b""
    packed_takes = seal.seal(TAKES, msgpack.packb(takes)) if takes else b""
    index: bytes = msgpack.packb(
        (list(values), list(map(len, values.values())), list(map(len, flashes)), len(packed_takes)),
        unicode_errors=SURROGATES,
    )
    if before is not None and before.index == index and before.is_current:
        sealed = before.raw[LENGTH.size : before.start]
    else:
        sealed = seal.seal(INDEX, index)
    return b"".join((LENGTH.pack(len(sealed)), sealed, *values.values(), *flashes, packed_takes))


def key_id_of(raw: bytes) -> bytes:
    """The id of the key that a body is sealed under; nothing for an empty one."""
    return raw[LENGTH.size : LENGTH.size + ID_SIZE]
