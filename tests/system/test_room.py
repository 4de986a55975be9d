"""What strangers may have an actor keep, and that nobody else is put out by them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coatcheck.messages import CreateSession, InspectActor, LoadSession, RequestFailed, SessionAbsent
from coatcheck.system import join
from coatcheck.system.frames import MAX_FRAME, FrameBuffer
from coatcheck.system.room import MAX_STRANGERS, in_the_way
from tests.system.running import RunningSystem, port_of

MB = 1_000_000


@dataclass
class Peer:
    """The other end of a connection, as Thespian knows it."""

    addressDetails: Any = None  # noqa: N815 - Thespian's name


@dataclass
class Connection:
    """A connection over which a frame has begun."""

    size: int
    known: bool = False
    fromAddress: Peer = field(init=False)  # noqa: N815 - Thespian's name

    def __post_init__(self) -> None:
        """Receive that much."""
        self.fromAddress = Peer("127.0.0.1:1" if self.known else None)
        self._rData = FrameBuffer()
        self._rData.addMore(b"%d>" % MAX_FRAME + b"x" * self.size)


def test_whoever_was_silent_longest_makes_room() -> None:
    """Of half frames the oldest go, until the rest is no more than the largest frame."""
    frames = [Connection(30 * MB), Connection(0), Connection(30 * MB), Connection(30 * MB)]

    assert in_the_way(frames) == frames[:1]
    assert in_the_way(frames[:3]) == []
    assert in_the_way([Connection(MAX_FRAME)]) == []


def test_strangers_make_room_for_those_who_are_known() -> None:
    """Who has sent a verified frame before goes after all who have not, the newest of them included."""
    known = Connection(30 * MB, known=True)
    strangers = [Connection(30 * MB), Connection(30 * MB)]

    assert in_the_way([known, *strangers]) == strangers[:1]
    assert in_the_way([Connection(MAX_FRAME, known=True), strangers[0]]) == strangers[:1]


def test_only_so_many_strangers_are_listened_to() -> None:
    """The oldest of too many is closed; those who are known do not count."""
    strangers = [Connection(0) for _ in range(MAX_STRANGERS + 2)]
    known = [Connection(0, known=True) for _ in range(MAX_STRANGERS)]

    assert in_the_way([*known, *strangers]) == strangers[:2]


def memory(pid: int) -> int:
    """The most that a process ever had in memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def strangers(port: int, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections over which this is said, one after the other, and then nothing more, closed or not."""
    with ExitStack() as opened:
        connections = []
        for _ in range(count):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connections.append(connection)
            with suppress(ConnectionError):
                connection.sendall(said)
        yield connections


def closed_there(connection: socket.socket) -> bool:
    """Whether the other side closes it, waited for; as it does after 30 seconds in any case, after ten at most."""
    with suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_half_frames_do_not_fill_the_memory(joined: Any) -> None:
    """Four strangers with 60 MB each cost no more than one; whoever has the key gets a large message through."""
    system, manager = joined
    pid = system.ask(manager, InspectActor(), 5.0).pid
    before = memory(pid)
    with strangers(port_of(manager), 4, b"%d>" % MAX_FRAME + b"z" * 60 * MB) as connections:
        assert all(closed_there(each) for each in connections[:3])
        reply = system.ask(manager, CreateSession(data={"a": "x" * 10 * MB}), 20.0)
        assert isinstance(reply, RequestFailed)
        assert reply.kind == "SessionTooLarge"
        assert closed_there(connections[3])

    assert memory(pid) - before < 130 * MB


def test_silent_connections_keep_nobody_out(joined: Any, running: RunningSystem) -> None:
    """Of many that say nothing the oldest are closed, and who joins meanwhile is answered."""
    _, manager = joined
    with strangers(port_of(manager), MAX_STRANGERS + 50, b"1") as connections:
        assert all(closed_there(each) for each in connections[:50])
        system, manager = join(running.home)
        assert isinstance(system.ask(manager, LoadSession(token="t"), 10.0), SessionAbsent)
        system.shutdown()
