"""Joining a system: who runs, who does not, and who else may be at that port."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from coatcheck.errors import RequestTimeout, StoreUnavailable
from coatcheck.messages import (
    CreateSession,
    FindManager,
    LoadSession,
    ManagerFound,
    SessionAbsent,
)
from coatcheck.settings import Settings
from coatcheck.system import join
from coatcheck.system.files import Whereabouts, seal_for
from coatcheck.system.frames import framed
from coatcheck.system.seal import Seal
from coatcheck.system.wire import JoinedBase
from tests.system.running import ROOT, RunningSystem


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
            join(home, timeout=0.5, secrets=("s" * 40,))
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
