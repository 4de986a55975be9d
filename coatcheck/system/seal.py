"""Seals: every frame between actors begins with a MAC, and nothing of a frame is looked at before it is right.

The key comes from the server's secrets and the epoch, a random number drawn at each start of the actor system. So
processes of another user, of another state directory, or left over from before a restart, cannot say anything that
would be heard. It keeps out who has not got the key; it hides nothing and does not forbid repeating a frame.
"""

from __future__ import annotations

import hmac
import os
from hashlib import blake2b
from typing import Final

MAC_SIZE: Final = 16
"""Bytes of the MAC before each payload."""

EPOCH_SIZE: Final = 16
"""Bytes of an epoch."""


def new_epoch() -> bytes:
    """A random epoch, for a new start."""
    return os.urandom(EPOCH_SIZE)


class Seal:
    """The key of one epoch of one actor system. ``repr`` does not show it."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes, epoch: bytes) -> None:
        """Raises ValueError for a secret below 16 or an epoch of other than 16 bytes."""
        if len(secret) < 16 or len(epoch) != EPOCH_SIZE:
            msg = "a seal takes a secret of 16 bytes or more and an epoch of 16 bytes"
            raise ValueError(msg)
        self._key = blake2b(epoch, key=secret[:64], digest_size=32, person=b"coatcheck wire").digest()

    def put(self, payload: bytes) -> bytes:
        """The payload behind its MAC."""
        return blake2b(payload, key=self._key, digest_size=MAC_SIZE).digest() + payload

    def take(self, sealed: bytes) -> bytes | None:
        """The payload, or None when the MAC is not right. Takes the same time wherever it differs."""
        # A view: what is not right is not worth a copy.
        mac = blake2b(memoryview(sealed)[MAC_SIZE:], key=self._key, digest_size=MAC_SIZE).digest()
        return sealed[MAC_SIZE:] if hmac.compare_digest(mac, sealed[:MAC_SIZE]) else None

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        # Goes to child processes through the pipe that starts them: never argv, never the environment.
        return _unpickled, (self._key,)

    def __repr__(self) -> str:
        return "<Seal>"


def _unpickled(key: bytes) -> Seal:
    seal = Seal.__new__(Seal)
    seal._key = key  # noqa: SLF001 - its own
    return seal
