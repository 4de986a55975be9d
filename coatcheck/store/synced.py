"""The file ``synced``: the last moment of the store that is known to be whole on disk."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgpack

from coatcheck.store import files

SYNCED: Final = "synced"
_MAGIC: Final = b"coatcheck synced 1\n"
_DIGEST: Final = 16
_META_MAGIC: Final = struct.pack("<II", 0xBEEFC0DE, 1)
_META: Final = 16
_TRANSACTION: Final = _META + 24 + 96 + 8


@dataclass(frozen=True)
class Synced:
    """A sync point."""

    boot: bytes
    """The boot of the machine in which it was made."""

    transaction: int
    """The transaction whose state it is."""

    at: int
    """When it was made, microseconds UTC."""

    pages: bytes
    """The two meta pages of the data file at that moment."""

    def write(self, home: Path) -> None:
        """Put it in the place of the one before, durably."""
        packed = msgpack.packb([self.boot, self.transaction, self.at, self.pages])
        files.write_private_bytes(home / SYNCED, _MAGIC + blake2b(packed, digest_size=_DIGEST).digest() + packed)


def read_synced(home: Path) -> Synced | None:
    """The last sync point, or None when there is none that can be read."""
    try:
        content = (home / SYNCED).read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + _DIGEST
    packed = content[start:]
    if content[:start] != _MAGIC + blake2b(packed, digest_size=_DIGEST).digest():
        return None
    return Synced(*msgpack.unpackb(packed))


def read_meta_pages(home: Path, size: int) -> bytes:
    """The two meta pages of the data file as they are now."""
    descriptor = os.open(home / files.DATA, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, 2 * size, 0)
    finally:
        os.close(descriptor)


def newest_transaction(pages: bytes) -> int:
    """The number of the newest transaction that two meta pages tell of; -1 when neither is one."""
    size = len(pages) // 2
    numbers = [
        struct.unpack_from("<Q", pages, start + _TRANSACTION)[0]
        for start in (0, size)
        if pages[start + _META : start + _META + 8] == _META_MAGIC
    ]
    return max(numbers, default=-1)
