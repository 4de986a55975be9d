"""Some thousand asks with short timeouts, of a manager that is stopped and killed: not one wrong answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.system.running import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def test_no_answer_is_wrong_and_nothing_is_applied_twice(tmp_path: object) -> None:
    """Threads, tasks of asyncio and asks by hand; the full hundred thousand: ``python -m tests.stress``."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.stress", "--asks", "3000"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    asks, confirmed, kills = (
        int(re.search(pattern, run.stdout)[1])  # type: ignore[index]
        for pattern in (r"asks +([0-9]+)", r"confirmed ([0-9]+)", r"killed ([0-9]+) times")
    )
    assert asks >= 3000 * 0.9
    assert confirmed > 500
    assert kills >= 3
