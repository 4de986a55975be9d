"""The file ``synced``: the last moment of the store that is known to be whole on disk.

Two slots of one page are written in turn, in place, and each carries a digest: a write that is torn by a power loss
leaves the other slot, and a disk without a free byte does not stop the next sync point.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgpack

from coatcheck.errors import StoreUnavailable
from coatcheck.store import files
from coatcheck.store.gate import Backoff, holders

SYNCED: Final = "synced"
_SLOT: Final = 4096
_DIGEST: Final = 16
_HEAD: Final = struct.Struct(">8s16sH")
_MAGIC: Final = b"coatsync"
_KEPT: Final = 512
_META_MAGIC: Final = struct.pack("<II", 0xBEEFC0DE, 1)
_META: Final = 16
_ALONE_WITHIN: Final = 2.0
_TRANSACTION: Final = _META + 24 + 96 + 8


@dataclass(frozen=True)
class MetaPages:
    """The two meta pages of a data file: LMDB starts from the newer one."""

    size: int
    """Bytes of a page."""

    pages: tuple[bytes, bytes]
    """The beginning of each: all that LMDB reads of it."""

    @classmethod
    def read(cls, home: Path, size: int) -> MetaPages:
        """As they are in the data file now."""
        descriptor = os.open(home / files.DATA, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(size, (os.pread(descriptor, _KEPT, 0), os.pread(descriptor, _KEPT, size)))
        finally:
            os.close(descriptor)

    def write(self, home: Path) -> None:
        """Put them into the data file, durably. Nobody may have it open."""
        descriptor = os.open(home / files.DATA, os.O_RDWR | os.O_CLOEXEC)
        try:
            for number, page in enumerate(self.pages):
                os.pwrite(descriptor, page, number * self.size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @property
    def transaction(self) -> int:
        """The number of the newest transaction they tell of; -1 when neither is a meta page."""
        return max(
            (
                struct.unpack_from("<Q", page, _TRANSACTION)[0]
                for page in self.pages
                if page[_META : _META + 8] == _META_MAGIC and len(page) == _KEPT
            ),
            default=-1,
        )


@dataclass(frozen=True)
class Synced:
    """A sync point."""

    sequence: int
    """Counts the sync points of this file."""

    boot: bytes
    """The boot of the machine in which it was made."""

    transaction: int
    """The transaction whose state it is."""

    at: int
    """When it was made, microseconds UTC."""

    metas: MetaPages
    """The meta pages that lead to this state."""

    def write(self, home: Path) -> None:
        """Put it into the slot of the one before the last, durably."""
        metas = self.metas
        packed = msgpack.packb([self.sequence, self.boot, self.transaction, self.at, metas.size, *metas.pages])
        slot = _HEAD.pack(_MAGIC, _digest(packed), len(packed)) + packed
        new = not (home / SYNCED).exists()
        descriptor = files.open_private(home / SYNCED)
        try:
            os.pwrite(descriptor, slot.ljust(_SLOT, b"\0"), self.sequence % 2 * _SLOT)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            files.sync_directory(home)


@contextmanager
def synced_alone(home: Path) -> Iterator[None]:
    """Inside, nobody else looks whether to write a sync point, and writes it. Raises StoreUnavailable."""
    path = home / SYNCED
    new = not path.exists()
    descriptor = files.open_private(path)
    try:
        if new:
            files.sync_directory(home)
        backoff = Backoff(_ALONE_WITHIN)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not backoff.wait():
                    pids = ", ".join(map(str, holders(path) or ())) or "unknown"
                    msg = f"no turn to sync {home}: process {pids} is at it; if it is stopped, continue it or end it"
                    raise StoreUnavailable(msg) from None
        yield
    finally:
        os.close(descriptor)


def read_synced(home: Path) -> Synced | None:
    """The last sync point, or None when there is none that can be read."""
    return next(iter(read_both(home)), None)


def read_both(home: Path) -> list[Synced]:
    """The last two sync points, the later one first, as far as there are any that can be read."""
    try:
        content = files.read_private(home / SYNCED)
    except FileNotFoundError:
        return []
    found = [_parse(content[start : start + _SLOT]) for start in (0, _SLOT)]
    return sorted((each for each in found if each), key=lambda each: each.sequence, reverse=True)


def _parse(slot: bytes) -> Synced | None:
    if len(slot) < _HEAD.size:
        return None
    magic, digest, length = _HEAD.unpack_from(slot)
    packed = slot[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or _digest(packed) != digest:
        return None
    sequence, boot, transaction, at, size, first, second = msgpack.unpackb(packed)
    return Synced(sequence, boot, transaction, at, MetaPages(size, (first, second)))


def _digest(packed: bytes) -> bytes:
    return blake2b(packed, digest_size=_DIGEST).digest()
