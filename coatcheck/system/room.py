"""How much an endpoint keeps of what is not verified yet: so many connections, so many bytes; the oldest have to go.

Anybody on this host can connect, announce a large frame, and never finish it. A frame can only be verified when it is
whole, so what strangers may have it wait for is bounded, and whoever has been silent longest makes room for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from coatcheck.system.frames import MAX_FRAME

MAX_STRANGERS: Final = 128
"""Connections over which nothing verified has come yet. Those of the system and its clients speak at once."""

MAX_WAITING: Final = MAX_FRAME + 1024
"""Bytes of unfinished frames, over all connections: the largest frame alone gets through."""


def in_the_way(connections: Sequence[Any]) -> list[Any]:
    """Which of these connections are to be closed; they come in the order in which they were heard, the newest last.

    Strangers go first: whoever has sent a verified frame before is not put out by them.
    """
    strangers = [each for each in connections if _is_stranger(each)]
    known = [each for each in connections if not _is_stranger(each)]
    surplus = max(0, len(strangers) - MAX_STRANGERS)
    closing = strangers[:surplus]
    waiting = sum(map(_waiting, connections)) - sum(map(_waiting, closing))
    for each in (*strangers[surplus:], *known):
        if waiting <= MAX_WAITING:
            break
        if _waiting(each):
            closing.append(each)
            waiting -= _waiting(each)
    return closing


def _is_stranger(connection: Any) -> bool:
    # Thespian knows the address of the other end from its messages only.
    return connection.fromAddress is None or connection.fromAddress.addressDetails is None


def _waiting(connection: Any) -> int:
    size: int = connection._rData.waiting  # noqa: SLF001 - Thespian's name for the FrameBuffer
    return size
