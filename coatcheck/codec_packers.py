"""The two packers behind :func:`coatcheck.codec.pack`.

The quick one packs what sessions mostly hold at msgpack's own speed, and takes a few things that it should not: a
look at its output tells whether any of them may be there, and only then a walk over the value decides. The careful
one packs everything, but only what :func:`coatcheck.codec_refusals.find_refusal` has found storable.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from coatcheck.codec_refusals import MAX_DEPTH, WRAPPED
from coatcheck.codec_types import FROZENSET, SCALARS, SET, TUPLE, encoder_of, ext

PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, BufferError)
"""What a packer raises over a value. RecursionError is not among them: it is about the caller's stack."""

_KEPT_BUFFER: Final = 65_536
_WORTH_A_SCAN: Final = 4096
_CONTAINER_HEADS: Final = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_BINARY_HEADS: Final = bytes([*range(0xC4, 0xCA), *range(0xD4, 0xD9)])
_WITHOUT_BINARY_HEADS: Final = bytes(0 if byte in _BINARY_HEADS else byte for byte in range(256))

# A packer lies in one of these lists or is in the hands of one caller: threads, signal handlers and finalizers may
# pack in the middle of a pack. Making one costs several times what a small value does. After an error it is dropped.
_quick: Final[list[Any]] = []
_careful: Final[list[Any]] = []
_heads: Final = msgpack.Packer(buf_size=16)


def pack_quickly(value: object) -> bytes | None:
    """Bytes that may hold more than can be loaded again, or None for what the quick packer does not know."""
    try:
        packer = _quick.pop()
    except IndexError:
        packer = msgpack.Packer(strict_types=True, default=_pack_scalar, buf_size=4096)
    try:
        data: bytes = packer.pack(value)
    except PACK_ERRORS:
        return None
    if len(data) <= _KEPT_BUFFER:
        _quick.append(packer)
    return data


def surely_storable(data: bytes) -> bool:
    """Whether the quick packer's output alone tells that it can be loaded again as it was.

    bytearray, memoryview, ExtType and Timestamp, which that packer takes without asking, each leave one of eleven
    bytes behind. It packs one level more than can be unpacked; each level leaves a container's head behind.
    """
    if len(data) > _WORTH_A_SCAN or data.translate(_WITHOUT_BINARY_HEADS) is not data:
        return False
    return len(data) <= MAX_DEPTH or len(data) - len(data.translate(None, _CONTAINER_HEADS)) <= MAX_DEPTH


def storable(value: object) -> bool:
    """Whether ``value``, which the quick packer took, holds nothing that it should have asked about."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for container in level:
            members = container
            if type(container) is dict:
                for key in container:
                    if type(key) not in SCALARS and encoder_of(type(key)) is None:
                        return False
                members = container.values()
            for member in members:
                kind = type(member)
                if kind in SCALARS:
                    continue
                if kind is dict or kind is list:
                    inner.append(member)
                elif encoder_of(kind) is None:
                    return False
        if not inner:
            return True
        level = inner
    return False


def pack_checked(value: object) -> bytes:
    """Bytes of a value that is known to be storable."""
    try:
        packer = _careful.pop()
    except IndexError:
        packer = msgpack.Packer(strict_types=True, default=_pack_any, unicode_errors="surrogatepass", buf_size=4096)
    data: bytes = packer.pack(value)
    if len(data) <= _KEPT_BUFFER:
        _careful.append(packer)
    return data


def _pack_scalar(value: object) -> Any:
    encoder = encoder_of(type(value))
    if encoder is None:
        raise TypeError
    return encoder(value)


def _pack_any(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return ext(TUPLE, pack_checked(list(value)))
    if kind in WRAPPED:
        head = _heads.pack_array_header(len(value))
        return ext(SET if kind is set else FROZENSET, b"".join([head, *sorted(map(pack_checked, value))]))
    return _pack_scalar(value)
