"""From Django's stores to coatcheck, written and read by Django itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT


def test_sessions_of_django_move_in(tmp_path: Path) -> None:
    """Database and cache: the user, the data and the end; once; see ``django_job.py`` for each promise."""
    job = [sys.executable, "-W", "error", "-m", "tests.adopt.django_job", str(tmp_path)]
    done = subprocess.run(job, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "moved\n"), done.stderr
