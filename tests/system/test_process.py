"""Who ends with whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from coatcheck.system import process
from tests.system.running import ROOT, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")

CHILD = """
import os, sys, time
from coatcheck.system import process
print(process.end_with_parent(int(sys.argv[1])), os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid() + int(sys.argv[2]))])
time.sleep(600)
"""


def start(offset: int) -> tuple[subprocess.Popen[str], str, int]:
    """A process whose child wants to end with the process that is its parent, or with another one."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(offset)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    answer, pid = parent.stdout.readline().split()
    return parent, answer, int(pid)


def test_a_child_ends_with_its_parent() -> None:
    """Killed without a chance to do anything, a parent takes its child along."""
    parent, answer, child = start(0)
    with parent:
        assert answer == "True"

        parent.kill()
    until(lambda: not process.alive(child), "the child outlives its parent")


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    """Who starts under another parent than it was told is told so, and is not signalled."""
    parent, answer, child = start(1)
    with parent:
        os.kill(child, signal.SIGKILL)
        parent.kill()

    assert answer == "False"


def test_children_and_life() -> None:
    """A child is listed until it is waited for, and not alive any more when it has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])

    assert child.pid in process.children(os.getpid())
    until(lambda: not process.alive(child.pid), "an ended process still counts as alive")
    assert child.pid in process.children(os.getpid())
    child.wait()
    assert child.pid not in process.children(os.getpid())
    assert not process.alive(child.pid)
    assert process.alive(os.getpid())
    assert process.alive(1)
