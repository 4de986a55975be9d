"""Processes of a system whose parent was killed while they started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from coatcheck.system.seal import Seal, new_epoch
from coatcheck.system.transport import SealedEndpoint
from tests.system.running import until

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
