"""A short run of the chaos: what was confirmed is kept, whoever is killed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.chaos.killer import KINDS
from tests.support.require import require
from tests.system.running import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def test_nothing_that_was_confirmed_is_lost(tmp_path: object) -> None:
    """Eighteen seconds in which each kind of process is killed several times, under load on both lanes."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")

    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--minutes", "0.3"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    kills = dict(re.findall(r"([a-z ]+) ([0-9]+)", re.search(r"kills .*?: (.*)", run.stdout)[1]))  # type: ignore[index]
    assert {name.strip() for name in kills} == set(KINDS)
    assert int(re.search(r"confirmed ([0-9]+)", run.stdout)[1]) > 500  # type: ignore[index]
