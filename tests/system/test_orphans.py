"""Processes that are killed while a system starts, and whose parent was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.client.actor_lane import ActorStore
from coatcheck.settings import Settings
from coatcheck.system import process
from coatcheck.system.seal import Seal, new_epoch
from coatcheck.system.transport import SealedEndpoint
from tests.system.running import RunningSystem, until
from tests.system.test_runner import serves, supervisor_report

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


@pytest.mark.parametrize("address", ["an address", None], ids=["admin", "actor"])
def test_who_starts_when_its_parent_has_been_killed_ends_at_once(address: str | None) -> None:
    """Nobody would end it: an admin whose runner is gone before it could adopt it, and any other process."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    endpoint = SealedEndpoint(Seal(b"k" * 32, new_epoch()), 1, address, None, None)
    endpoint.parent = gone.pid
    pid = os.fork()
    if pid == 0:
        endpoint.end_with_parent()
        os._exit(0)

    def ended() -> tuple[int, int] | None:
        done = os.waitpid(pid, os.WNOHANG)
        return done if done[0] else None

    _, status = until(ended, "it waits for a parent that is gone", patience=5.0)
    assert os.waitstatus_to_exitcode(status) == 1


def kill(pids: list[int]) -> None:
    """SIGKILL."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def below(pid: int) -> list[int]:
    """The living children of a process."""
    return [each for each in process.children(pid) if process.alive(each)]


def admins(system: RunningSystem) -> list[int]:
    """The admin, from the moment at which it is a child of the runner and in a session of its own."""
    found = []
    for pid in below(system.pid):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) != os.getsid(system.pid):
                found.append(pid)
    return found


@pytest.mark.parametrize("who", ["admin", "supervisor"])
def test_who_is_killed_while_the_system_starts_is_started_again(home: Path, who: str) -> None:
    """Within seconds, and not when the patience with one that starts slowly is at its end."""
    system = RunningSystem(home).start()
    try:
        if who == "admin":
            kill(until(lambda: admins(system), "no admin"))
        else:
            # The logger is there first.
            both = until(lambda: [each for admin in admins(system) if len(each := below(admin)) > 1], "no supervisor")
            kill([max(both[0])])

        until(lambda: " runs on " in system.log, f"it does not come up: {system.log}", patience=15.0)
        store = ActorStore(Settings(home=home))
        assert serves(store)
        store.close()
    finally:
        assert system.stop() == 0


def test_a_supervisor_that_is_killed_while_it_starts_again_comes_back(home: Path) -> None:
    """Its admin would wait for it for good."""
    with RunningSystem(home) as system:
        admin, before = system.admin(), int(supervisor_report(home)["pid"])
        (logger,) = set(below(admin)) - {before}
        kill([before])
        kill(until(lambda: list(set(below(admin)) - {before, logger}), "no other supervisor"))

        store = ActorStore(Settings(home=home))
        until(lambda: serves(store), "it does not recover", patience=15.0)
        store.close()
