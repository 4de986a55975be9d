"""The wire: who is heard, who is not, and whose answer one gets."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from coatcheck import FlashMessage, Set
from coatcheck.errors import ConfigurationError, RequestTimeout, StoreUnavailable
from coatcheck.messages import (
    AddFlash,
    CleanupExpired,
    CreateSession,
    DeleteSession,
    FindManager,
    InspectActor,
    LoadSession,
    ManagerFound,
    Reply,
    Request,
    SaveSession,
    SessionAbsent,
    SessionCreated,
    SessionDeleted,
    SessionLoaded,
    SessionSaved,
    SessionsCleaned,
    TakeFlashes,
    TouchSession,
)
from coatcheck.settings import Settings
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from coatcheck.system import join
from coatcheck.system.files import Whereabouts, seal_for
from coatcheck.system.frames import bad_frames, framed
from coatcheck.system.payload import write
from coatcheck.system.seal import Seal
from coatcheck.system.wire import JoinedBase, text_of
from tests.system.running import ROOT, RunningSystem, until


@pytest.fixture
def joined(running: RunningSystem) -> Any:
    """The system, the manager's address, and what the owner of a session has in hand."""
    system, manager = join(running.home)
    yield system, manager
    system.shutdown()


def port_of(address: Any) -> int:
    """The port of an actor address."""
    return int(text_of(address).rsplit(":", 1)[1])


# The raw form -----------------------------------------------------------------------------------------------------


def test_the_owners_raw_form_works(joined: Any) -> None:
    """``system.ask`` and ``system.tell`` with messages, as the seed had them."""
    system, manager = joined
    created = system.ask(manager, CreateSession(data={"a": 1}), 5.0)
    assert isinstance(created, SessionCreated)
    token = created.token

    loaded = system.ask(manager, LoadSession(token=token), 5.0)
    assert isinstance(loaded, SessionLoaded)
    assert loaded.record.data == {"a": 1}

    system.tell(manager, AddFlash(token=token, flash=FlashMessage.info("x")))
    assert list(system.ask(manager, TakeFlashes(token=token), 5.0).flashes) == [FlashMessage.info("x")]

    system.tell(manager, SaveSession(token=token, changes=[Set("b", 2)]))
    saved = system.ask(manager, SaveSession(token=token, changes=[Set("c", 3)], confirm=True), 5.0)
    assert isinstance(saved, SessionSaved)
    assert saved.record.data == {"a": 1, "b": 2, "c": 3}

    assert system.ask(manager, DeleteSession(token=token, confirm=True), 5.0).existed is True
    assert system.ask(manager, LoadSession(token=token), 5.0).reason == "deleted"


def test_what_is_told_stays_without_an_answer(joined: Any) -> None:
    """After tells of everything that may be told, nothing arrives but what is asked for."""
    system, manager = joined
    before = system._systemBase.strays  # joining may have asked twice
    token = system.ask(manager, CreateSession(), 20.0).token
    told: list[Request] = [
        SaveSession(token=token, changes=[Set("a", 1)]),
        TouchSession(token=token),
        AddFlash(token=token, flash=FlashMessage.info("x")),
        CleanupExpired(),
        DeleteSession(token=token),
        DeleteSession(token="forged"),
        SaveSession(token="forged"),
    ]
    for each in told:
        system.tell(manager, each)

    # A write may have to wait for its turn, as behind the sweep, and a read does not wait with it. What is asked of
    # each of the manager's queues is answered after all that was told before.
    assert isinstance(system.ask(manager, CleanupExpired(confirm=True), 20.0), SessionsCleaned)
    assert system.ask(manager, DeleteSession(token=token, confirm=True), 20.0).existed is False
    assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionAbsent)
    assert system.listen(0.2) is None
    assert system._systemBase.strays == before


def test_reading_does_not_wait_for_what_was_told(joined: Any, running: RunningSystem) -> None:
    """Behind another writer it is not done yet; whoever wants to see it done asks for a write, which waits too."""
    system, manager = joined
    token = system.ask(manager, CreateSession(), 20.0).token
    gate = WriterGate(running.home / WRITER)
    until(gate.enter, "the gate does not open")
    try:
        system.tell(manager, DeleteSession(token=token))
        assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionLoaded)
    finally:
        gate.leave()
        gate.close()

    assert isinstance(system.ask(manager, DeleteSession(token=token, confirm=True), 20.0), SessionDeleted)
    assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionAbsent)


def test_a_private_endpoint_serves_a_thread(joined: Any) -> None:
    """Threads with endpoints of their own, and threads that share one, each get their own answers."""
    system, manager = joined
    tokens = [system.ask(manager, CreateSession(data={"n": number}), 5.0).token for number in range(6)]
    wrong: list[Any] = []

    def own(number: int) -> None:
        with system.private() as endpoint:
            for _ in range(20):
                check(endpoint.ask(manager, LoadSession(token=tokens[number]), 10.0), number)

    def shared(number: int) -> None:
        for _ in range(20):
            check(system.ask(manager, LoadSession(token=tokens[number]), 10.0), number)

    def check(reply: Any, number: int) -> None:
        if not isinstance(reply, SessionLoaded) or reply.record.data != {"n": number}:
            wrong.append(reply)

    threads = [threading.Thread(target=own if number % 2 else shared, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert wrong == []


def test_a_late_answer_is_never_the_next_ones(joined: Any, running: RunningSystem) -> None:
    """Asks that time out while the manager is stopped leave answers behind; nobody gets one of them."""
    system, manager = joined
    one = system.ask(manager, CreateSession(data={"n": 1}), 5.0).token
    two = system.ask(manager, CreateSession(data={"n": 2}), 5.0).token
    pid = system.ask(manager, InspectActor(), 5.0).pid

    os.kill(pid, 19)
    try:
        for _ in range(3):
            assert system.ask(manager, LoadSession(token=one), 0.05) is None
    finally:
        os.kill(pid, 18)
    answers = [system.ask(manager, LoadSession(token=two), 10.0) for _ in range(5)]

    assert [each.record.data["n"] for each in answers] == [2] * 5
    assert system._systemBase.strays == 3


def test_a_request_past_its_deadline_is_not_carried_out(joined: Any) -> None:
    """What nobody waits for any more is not done, and not answered."""
    system, manager = joined
    token = system.ask(manager, CreateSession(), 5.0).token
    late = SaveSession(token=token, changes=[Set("late", 1)], confirm=True, deadline=time.monotonic() - 0.001)

    assert system.ask(manager, late, 0.2) is None
    assert "late" not in system.ask(manager, LoadSession(token=token), 5.0).record.data


def test_an_unknown_message_is_answered(joined: Any) -> None:
    """Who asks an actor for something that it does not do is told so at once."""
    system, manager = joined

    reply = system.ask(manager, FindManager(), 5.0)
    assert reply.kind == "Unrecognized"
    assert "SessionManager" in reply.text
    assert system.ask(manager, "hello", 5.0).kind == "Unrecognized"
    assert system.ask(manager, InspectActor(), 5.0).unrecognized >= 2


def test_an_answer_is_never_answered(joined: Any) -> None:
    """Two actors that do not understand each other do not go on for ever."""
    system, manager = joined
    before = system.ask(manager, InspectActor(), 5.0)
    system.tell(manager, SessionDeleted(request_id=b"i" * 16, existed=True))

    assert system.listen(0.1) is None
    after = system.ask(manager, InspectActor(), 5.0)
    assert (after.unrecognized, after.failed) == (before.unrecognized, before.failed)
    assert system._systemBase.strays == 0


def test_telling_somebody_who_is_gone_is_an_error_and_soon(joined: Any) -> None:
    """As shipped, a tell to a dead address returns as if all were well, up to 35 seconds later."""
    system, manager = joined
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        from coatcheck.system.wire import address_of

        nobody = address_of(f"127.0.0.1:{free.getsockname()[1]}")
    begin = time.monotonic()

    with pytest.raises(StoreUnavailable):
        system.tell(nobody, AddFlash(token="t", flash=FlashMessage.info("x")))
    assert system.ask(nobody, LoadSession(token="t"), 5.0) is None
    assert time.monotonic() - begin < 2.0
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), Reply)


def test_a_system_of_before_the_fork_is_refused_in_the_child(joined: Any) -> None:
    """The child would listen where its parent does, and each would get the other's answers."""
    system, manager = joined
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - in the child
        try:
            system.ask(manager, LoadSession(token="t"), 1.0)
            os.write(writing, b"answered")
        except ConfigurationError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()

    assert "join again in the child" in said
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)


# Who is heard -----------------------------------------------------------------------------------------------------


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


# Joining ----------------------------------------------------------------------------------------------------------


def test_nobody_is_there(home: Path) -> None:
    """Where no system runs, joining says so at once, and makes nothing: no directory, no secret, no admin."""
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no actor system runs on .* start one with"):
        join(home)

    assert time.monotonic() - begin < 1.0
    assert not home.exists()


def test_a_system_that_was_killed_is_not_waited_for(home: Path) -> None:
    """A file left behind by a process that is gone is as good as none."""
    home.mkdir(mode=0o700)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Whereabouts(port=1, epoch=b"e" * 16, pid=ended.pid, started_at=0).write(home)
    begin = time.monotonic()

    with pytest.raises(StoreUnavailable, match="any more: start one with"):
        join(home)
    assert time.monotonic() - begin < 1.0


def test_another_secret_does_not_join(running: RunningSystem) -> None:
    """Who has not got the secret is not heard, and told what it may be within the time given."""
    begin = time.monotonic()
    with pytest.raises(RequestTimeout, match="the same secret"):
        join(running.home, timeout=0.5, secrets=("another-secret-that-is-long-enough-0123456789",))

    assert time.monotonic() - begin < 3.0


def test_somebody_else_on_the_port_is_not_taken_for_the_system(home: Path) -> None:
    """A program that answers with whatever it likes is not believed, and nothing that it says is unpickled."""
    home.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        Whereabouts(port=port, epoch=b"e" * 16, pid=os.getpid(), started_at=0).write(home)
        answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n", framed(b"x" * 16 + pickle.dumps("ACK")), b"", b"3>ACK"]

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(RequestTimeout):
            join(home, timeout=0.5)
    thread.join(5)


def test_leaving_does_not_stop_the_system(running: RunningSystem) -> None:
    """As shipped, any client may end it for all; here it only leaves."""
    system, _ = join(running.home)
    system.shutdown()
    system, manager = join(running.home)

    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)
    system.shutdown()


def test_two_systems_in_one_process(running: RunningSystem, tmp_path: Path) -> None:
    """Seals belong to endpoints, not to the process: it can speak with two systems, and mixes up nothing."""
    with RunningSystem(tmp_path / "second") as second:
        one, first_manager = join(running.home)
        two, second_manager = join(second.home)
        token = one.ask(first_manager, CreateSession(data={"system": 1}), 5.0).token

        assert one.ask(first_manager, LoadSession(token=token), 5.0).record.data == {"system": 1}
        assert two.ask(second_manager, LoadSession(token=token), 5.0).reason == "forged"
        # The address of the one system with the seal of the other: not heard.
        assert two.ask(first_manager, LoadSession(token=token), 0.3) is None
        one.shutdown()
        two.shutdown()


FOREIGN_FIRST = """
import sys
from thespian.actors import ActorSystem
import socket
with socket.socket() as free:
    free.bind(("", 0)); port = free.getsockname()[1]
system = ActorSystem("multiprocTCPBase", {"Admin Port": port}, {"version": 1}, transientUnique=True)
try:
    import coatcheck.system.wire
except Exception as error:
    print(type(error).__name__, error)
finally:
    system.shutdown()
"""
FOREIGN_LATER = """
import coatcheck.system.wire
from thespian.actors import ActorSystem
try:
    ActorSystem("multiprocTCPBase", {"Admin Port": 1}, {"version": 1}, transientUnique=True)
except Exception as error:
    print(type(error).__name__, error)
print(type(ActorSystem("simpleSystemBase", transientUnique=True)).__name__)
"""


@pytest.mark.parametrize("program", [FOREIGN_FIRST, FOREIGN_LATER], ids=["before", "after"])
def test_a_foreign_thespian_system_in_the_process_is_an_error_that_says_so(program: str) -> None:
    """The change to Thespian is for the whole process, so somebody else's TCP system in it is refused, either way."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.startswith("ConfigurationError another Thespian system over TCP lives in this process"), done
    assert "different processes" in done.stdout


def test_the_admin_finds_the_manager(running: RunningSystem) -> None:
    """FindManager is answered with the address and the process of the manager, time and again the same."""
    where = Whereabouts.read(running.home)
    base = JoinedBase(seal_for(Settings(home=running.home), where.epoch), where.port, 5.0)
    supervisor = base.named_actor("coatcheck.actors.supervisor.SystemSupervisor", "coatcheck.supervisor", 5.0)
    found = [base.call(supervisor, FindManager(), 5.0) for _ in range(3)]
    base.shutdown()

    assert all(isinstance(each, ManagerFound) for each in found)
    assert len({(each.address, each.pid) for each in found if isinstance(each, ManagerFound)}) == 1
    with pytest.raises(StoreUnavailable, match="no actor system answers"):
        JoinedBase(Seal(b"x" * 32, where.epoch), where.port, 0.3)
