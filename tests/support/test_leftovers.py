"""The watch over processes that tests leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leftovers import MARK, leftovers
from tests.support.processes import await_that
from tests.support.require import require

ORPHAN = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
os.execvp("sleep", ["sleep", "60"])
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_an_orphan_is_found_and_ended(tmp_path: Path) -> None:
    """A process that has left its parent, session and all, is found by the mark in its environment, and killed."""
    note = tmp_path / "pid"
    environ = {**os.environ, MARK: "the-mark-of-this-test"}
    subprocess.run([sys.executable, "-c", ORPHAN, str(note)], env=environ, check=True)
    await_that(note.exists, "the orphan has told its pid")
    pid = int(note.read_text())
    await_that(lambda: "sleep" in Path(f"/proc/{pid}/cmdline").read_text(), "the orphan sleeps")

    left = leftovers("the-mark-of-this-test", patience=0.1, children=False)

    assert left == {pid: "sleep 60"}
    assert leftovers("the-mark-of-this-test", children=False) == {}


def test_what_is_missing_is_skipped_at_home_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """``require`` lets a machine lack something, but not the one whose word counts."""
    require(available=True, what="nothing")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs a moon"):
        require(available=None, what="a moon")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="CI must have a moon"):
        require(available=None, what="a moon")
