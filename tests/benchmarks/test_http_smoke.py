"""``python -m benchmarks http``, small enough for a test. Shapes only."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("framework", ["flask", "django", "starlette"])
def test_all_sides_of_a_framework_serve(framework: str, tmp_path: Path) -> None:
    """No request fails, and each side has its rate in each mix."""
    require(shutil.which("wrk"), "wrk")
    file = tmp_path / "result.json"
    small = ["--frameworks", framework, "--sessions", "5", "--rounds", "1", "--seconds", "1", "--connections", "2"]
    command = [sys.executable, "-m", "benchmarks", "http", *small, "--json", str(file), "--dir", str(tmp_path / "x")]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    rates = json.loads(file.read_text())["requests/s"]
    assert len(rates) == 6
    assert all(rate > 0 for rate in rates.values())
    assert sum(f"{framework}, read mix, " in name for name in rates) == 3
