"""Who is heard by the processes of a running system, and who is not."""

from __future__ import annotations

import errno
import os
import pickle
import random
import signal
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest
from thespian.system.logdirector import LoggerExitRequest
from thespian.system.messages.admin import SystemShutdown

from coatcheck.errors import StoreUnavailable
from coatcheck.messages import CreateSession, DeleteSession, InspectActor, LoadSession, SessionAbsent, SessionLoaded
from coatcheck.settings import Settings
from coatcheck.system import join, process
from coatcheck.system.files import Whereabouts, seal_for
from coatcheck.system.frames import bad_frames, framed
from coatcheck.system.payload import write
from coatcheck.system.seal import Seal
from coatcheck.system.wire import text_of
from tests.system.running import RunningSystem, port_of, until


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def send(port: int, data: bytes) -> bytes:
    """What is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        answer = b""
        # The other side may have closed already, with or without a reset. A timeout is an error.
        with suppress(ConnectionError):
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
            while piece := connection.recv(4096):
                answer += piece
        return answer


def listening_ports(pids: set[int]) -> dict[int, set[str]]:
    """For each process, the addresses on which it listens."""
    sockets: dict[str, str] = {}
    for table, size in (("tcp", 4), ("tcp6", 16)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                host, port = fields[1].split(":")
                raw = struct.pack(f"={size // 4}I", *[int(host[i : i + 8], 16) for i in range(0, 2 * size, 8)])
                family = socket.AF_INET if size == 4 else socket.AF_INET6
                sockets[fields[9]] = f"{socket.inet_ntop(family, raw)}:{int(port, 16)}"
    found: dict[int, set[str]] = {}
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                where = sockets.get(target[8:-1])
                if where:
                    found.setdefault(pid, set()).add(where)
    return found


def test_everything_listens_on_loopback_only(joined: Any, running: RunningSystem) -> None:
    """Admin, logger, actors, the runner and this client: no listener can be reached from another host."""
    found = listening_ports(running.family() | {os.getpid()})

    assert len(found) >= 5
    assert {each.rsplit(":", 1)[0] for addresses in found.values() for each in addresses} == {"127.0.0.1"}


@pytest.mark.parametrize("target", ["admin", "supervisor or logger", "manager", "client"])
def test_an_unsealed_pickle_is_not_executed(target: str, joined: Any, running: RunningSystem, tmp_path: Path) -> None:
    """As shipped, three lines of Python run a program in any of these processes."""
    system, manager = joined
    proof = tmp_path / "executed"
    bomb = write(b"127.0.0.1:1", _Bomb(proof))
    shipped = pickle.dumps((system._systemBase.transport.myAddress, _Bomb(proof)), 4)
    seal = seal_for(Settings(home=running.home), b"another epoch...")
    frames = [framed(each) for each in (shipped, bomb, b"\0" * 16 + shipped, b"\0" * 16 + bomb, seal.put(bomb))]
    frames += [b"GET / HTTP/1.1\r\n\r\n", b"9" * 100]
    ports = {
        "admin": [running.whereabouts["port"]],
        "manager": [port_of(manager)],
        "client": [system._systemBase.transport.socket.getsockname()[1]],
    }
    if target in ports:
        wanted = ports[target]
    else:
        everything = {
            int(each.rsplit(":", 1)[1]) for those in listening_ports(running.family()).values() for each in those
        }
        wanted = sorted(everything - {port for those in ports.values() for port in those})
    before = bad_frames.total
    for port in wanted:
        for frame in frames:
            if target == "client":
                # Nobody reads a client's endpoint but in the middle of an ask.
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    connection.sendall(frame)
                    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)
            else:
                assert send(port, frame) == b""

    assert not proof.exists()
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)
    if target == "client":
        assert bad_frames.total > before


def test_a_sealed_pickle_of_something_else_is_not_executed(joined: Any, running: RunningSystem, tmp_path: Path) -> None:
    """Even with the right seal nothing is found that is not on the list; the sender is told that it was refused."""
    system, manager = joined
    proof = tmp_path / "executed"
    where = Whereabouts.read(running.home)
    seal = seal_for(Settings(home=running.home), where.epoch)
    for port in (where.port, port_of(manager)):
        answer = send(port, framed(seal.put(write(b"127.0.0.1:1", _Bomb(proof)))))
        assert answer == framed(seal.put(b"R"))

    assert not proof.exists()
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)


def test_bad_frames_are_in_the_report(running: RunningSystem) -> None:
    """The log of the manager names the peer once, and nothing of what it sent."""
    until(lambda: "dropped a frame from 127.0.0.1" in running.log, "the manager does not say that it dropped frames")

    assert running.log.count("dropped a frame from 127.0.0.1: ") <= 2  # the manager, the supervisor
    assert "dropped a frame from 127.0.0.1: " in (running.home / "thespian.log").read_text()  # the admin
    assert "GET" not in running.log + (running.home / "thespian.log").read_text()


def ports_of(running: RunningSystem) -> set[int]:
    """Where admin, logger, supervisor and manager listen. The runner does too, and looks once a second."""
    addresses = set().union(*listening_ports(running.family() - {running.pid}).values())
    return {int(each.rsplit(":", 1)[1]) for each in addresses}


def forgeries(running: RunningSystem, sender: str, message: Any) -> list[bytes]:
    """A message as an attacker would say it: as Thespian ships it, and under seals that are not right."""
    secrets = seal_for(Settings(home=running.home), b"another epoch...")
    nobodys = Seal(b"a secret that nobody has given out", Whereabouts.read(running.home).epoch)
    payload = write(sender.encode(), message)
    return [framed(pickle.dumps((sender, message), 4)), framed(b"\0" * 16 + payload)] + [
        framed(each.put(payload)) for each in (secrets, nobodys)
    ]


def test_a_dotted_name_is_not_followed(joined: Any, running: RunningSystem, tmp_path: Path) -> None:
    """Protocol 4 walks through the attributes of a module: from an allowed one to ``os.system``, sealed or not."""
    system, manager = joined
    proof = tmp_path / "executed"
    where = Whereabouts.read(running.home)
    seal = seal_for(Settings(home=running.home), where.epoch)
    parts = (b"coatcheck.messages.packing", b"os.system", f"touch {proof}".encode())
    module, name, command = (b"\x8c" + bytes([len(each)]) + each for each in parts)
    dotted = b"\x80\x04" + module + name + b"\x93" + command + b"\x85R."
    payload = b"P127.0.0.1:1\0" + dotted
    for port in (where.port, port_of(manager)):
        assert send(port, framed(seal.put(payload))) == framed(seal.put(b"R"))
        assert send(port, framed(payload)) == b""

    assert not proof.exists()
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)


def test_a_forged_reply_is_not_believed(joined: Any, running: RunningSystem) -> None:
    """While a client waits, nobody can hand it somebody's session: not even who knows the number of its request.

    And who has the key, such as another worker, does so only by guessing that number, which is random.
    """
    system, manager = joined
    mine = system.ask(manager, CreateSession(data={"whose": "mine"}), 5.0).token
    theirs = system.ask(manager, CreateSession(data={"whose": "theirs"}), 5.0)
    request = LoadSession(token=mine)
    forged = SessionLoaded(request_id=request.request_id, record=theirs.record)
    other = SessionLoaded(request_id=b"i" * 16, record=theirs.record)
    seal = seal_for(Settings(home=running.home), Whereabouts.read(running.home).epoch)
    pid = system.ask(manager, InspectActor(), 5.0).pid
    replies: list[Any] = []
    own = system._systemBase.external_clone()
    port = own.transport.socket.getsockname()[1]
    os.kill(pid, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=lambda: replies.append(own.ask(manager, request, 20.0)))
        thread.start()
        for frame in forgeries(running, text_of(manager), forged):
            assert send(port, frame) == b""
        assert send(port, framed(seal.put(write(b"127.0.0.1:1", other)))) == framed(seal.put(b"A"))
    finally:
        os.kill(pid, signal.SIGCONT)
    thread.join(30)
    strays = own.strays
    own.exit_context()

    assert [each.record.data for each in replies] == [{"whose": "mine"}]
    assert strays == 1


def test_nobody_else_can_end_it(joined: Any, running: RunningSystem) -> None:
    """As shipped, who reaches a port ends the actor, the logger or the whole system with one message."""
    system, manager = joined
    before = running.family()
    for port in ports_of(running):
        for message in (ActorExitRequest(), SystemShutdown(), LoggerExitRequest(), {"exit": True}):
            for frame in forgeries(running, f"127.0.0.1:{port}", message):
                assert send(port, frame) == b""

    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)
    assert running.family() == before


def test_what_was_said_before_a_restart_is_not_heard_after_it(tmp_path: Path) -> None:
    """Frames of an old epoch, sealed as they should be then, end nobody and delete nothing now."""
    with RunningSystem(tmp_path / "state") as running:
        old = Whereabouts.read(running.home)
        seal = seal_for(Settings(home=running.home), old.epoch)
        system, manager = join(running.home)
        token = system.ask(manager, CreateSession(), 5.0).token
        said = [
            framed(seal.put(write(b"127.0.0.1:1", each)))
            for each in (DeleteSession(token=token), ActorExitRequest(), SystemShutdown())
        ]
        system.shutdown()
        os.kill(running.admin(), signal.SIGKILL)

        def restarted() -> bool:
            with suppress(StoreUnavailable):
                return Whereabouts.read(running.home).epoch != old.epoch
            return False

        until(restarted, "the system does not start again")
        system, manager = join(running.home)
        before = running.family()
        for port in ports_of(running):
            for frame in said:
                assert send(port, frame) == b""

        assert isinstance(system.ask(manager, LoadSession(token=token), 5.0), SessionLoaded)
        assert running.family() == before
        system.shutdown()


def test_a_frame_of_a_gigabyte_is_not_waited_for(joined: Any, running: RunningSystem) -> None:
    """Its announcement is enough to be hung up on."""
    system, manager = joined
    for port in ports_of(running):
        for length in (b"1073741824>", b"1073741824>" + b"x" * 100_000, b"99999999999999999999>"):
            assert send(port, length) == b""

    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)


def test_garbage_is_dropped(joined: Any, running: RunningSystem) -> None:
    """Bytes by chance, some with a length before them that is right: no answer, and everybody goes on."""
    system, manager = joined
    before = running.family()
    dice = random.Random(3)
    for port in ports_of(running):
        for _ in range(40):
            noise = dice.randbytes(dice.randrange(1, 3000))
            assert send(port, noise) == b""
            assert send(port, framed(noise)) == b""

    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)
    assert running.family() == before


def test_a_thousand_half_open_connections(joined: Any, running: RunningSystem) -> None:
    """Admin and manager go on: who has the key is let in, and answered."""
    _, manager = joined
    process.raise_open_files(4096)
    admin = Whereabouts.read(running.home).port
    with ExitStack() as stack:
        for port in (admin, port_of(manager)):
            for number in range(1000):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                if number % 2:
                    with suppress(ConnectionError):  # closed already: the oldest make room
                        connection.sendall(b"5")
        system, manager = join(running.home, timeout=30)
        assert isinstance(system.ask(manager, LoadSession(token="t"), 10.0), SessionAbsent)
        system.shutdown()
