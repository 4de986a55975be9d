"""Frames on a stream: ``length>sealed``, as Thespian writes them, read within limits and not interpreted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

MAX_FRAME: Final = 64 * 1024 * 1024
"""The largest frame that is read, in bytes."""

_MAX_DIGITS: Final = 9
_FIRST_READ: Final = 20


class FrameRefused(ValueError):
    """A stream that does not hold frames."""


def framed(sealed: bytes) -> bytes:
    """A sealed payload as it is sent."""
    return b"%d>" % len(sealed) + sealed


class FrameBuffer:
    """What has arrived of one frame. It takes the place of Thespian's buffer, which would unpickle when it is full."""

    def __init__(self, _serializer: object = None) -> None:
        # One buffer: as objects of their own, bytes that come one by one would take forty times their size.
        self._received = bytearray()
        self._size: int | None = None
        self._extra = b""

    def addMore(self, received: bytes) -> None:  # noqa: N802 - Thespian's name
        """Add what has arrived. Raises FrameRefused for what cannot become a frame."""
        if self._size is None:
            head, mark, rest = (bytes(self._received) + received).partition(b">")
            if not mark:
                if len(head) > _MAX_DIGITS:
                    msg = "no length where a frame begins"
                    raise FrameRefused(msg)
                self._received[:] = head
                return
            if not (head.isdigit() and len(head) <= _MAX_DIGITS) or int(head) > MAX_FRAME:
                msg = "no length, or too large a one, where a frame begins"
                raise FrameRefused(msg)
            self._size = int(head)
            self._received.clear()
            received = rest
        wanted = self._size - len(self._received)
        self._extra += received[wanted:]
        self._received += received[:wanted]

    @property
    def waiting(self) -> int:
        """How many bytes are kept for what is still to come."""
        return len(self._received) + len(self._extra)

    def is_empty(self) -> bool:
        """Whether nothing has arrived."""
        return not self._received and self._size is None

    def remainingAmount(self) -> int:  # noqa: N802
        """How many bytes to read next."""
        return _FIRST_READ if self._size is None else self._size - len(self._received)

    def isDone(self) -> bool:  # noqa: N802
        """Whether the frame is whole."""
        return self._size is not None and len(self._received) >= self._size

    def removeExtra(self) -> None:  # noqa: N802
        """Forget what came behind the frame."""
        self._extra = b""

    def completed(self) -> tuple[bytes, bytes] | None:
        """The sealed payload and what came behind it, or None."""
        return (bytes(self._received), self._extra) if self.isDone() else None


class BadFrames:
    """Frames that were dropped in this process, by the host they came from. Never what was in them."""

    _MOST_PEERS = 1000

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unsaid: list[tuple[str, str]] = []

    def count(self, peer: str, why: str) -> bool:
        """Count one; whether it was the first of that peer, which is to be logged."""
        if peer not in self._counts:
            if len(self._counts) >= self._MOST_PEERS:
                peer = "others"
            if not self._counts[peer]:
                self._unsaid.append((peer, why))
        self._counts[peer] += 1
        return self._counts[peer] == 1

    @property
    def total(self) -> int:
        """How many there were."""
        return self._counts.total() if hasattr(self._counts, "total") else sum(self._counts.values())

    def log(self, logger: logging.Logger) -> None:
        """Log what was not logged yet. Not done at once: in an actor, logging sends a frame itself."""
        while self._unsaid:
            peer, why = self._unsaid.pop(0)
            logger.warning("dropped a frame from %s: %s; further ones are only counted", peer, why)


bad_frames: Final = BadFrames()
"""Those of this process."""
