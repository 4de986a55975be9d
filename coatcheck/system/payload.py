"""What is inside a sealed frame: who sends, and what.

``kind | host:port | 0 | rest``. A message of coatcheck is its name and its msgpack bytes and meets no pickle at all.
What Thespian's own processes say to each other is pickled, and read by the list of :mod:`coatcheck.system.allowed`.
"""

from __future__ import annotations

import pickle
from typing import Any, Final

from coatcheck.messages import Message
from coatcheck.messages.packing import pack, restore
from coatcheck.system import allowed

ACK: Final = b"A"
"""A whole payload: the message has been taken."""

REFUSED: Final = b"R"
"""A whole payload: the message cannot be read."""

_MESSAGE: Final = b"M"
_PICKLE: Final = b"P"
_END: Final = b"\0"


def sender_of(host: str, port: int) -> bytes:
    """How a sender is written."""
    return f"{host}:{port}".encode("ascii")


def write(sender: bytes, message: Any) -> bytes:
    """The payload of a message. Raises what packing raises."""
    if isinstance(message, Message):
        name = type(message).__name__.encode("ascii")
        return b"".join((_MESSAGE, sender, _END, name, _END, pack(message)))
    return b"".join((_PICKLE, sender, _END, pickle.dumps(message, 4)))


def read(payload: bytes) -> tuple[str, Any]:
    """Sender and message. Raises ValueError, RefusedByList, or whatever unpickling broken bytes raises."""
    kind = payload[:1]
    sender, end, rest = payload[1:].partition(_END)
    if not end:
        msg = "no sender"
        raise ValueError(msg)
    if kind == _MESSAGE:
        name, _, packed = rest.partition(_END)
        return sender.decode("ascii"), restore(name.decode("ascii"), packed)
    if kind == _PICKLE:
        return sender.decode("ascii"), allowed.loads(rest)
    msg = "no kind of payload"
    raise ValueError(msg)
