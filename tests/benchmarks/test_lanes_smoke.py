"""``python -m benchmarks lanes`` and ``sync-points``, small enough for a test. Shapes only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def result_of(tmp_path: Path, name: str, *arguments: str) -> dict[str, Any]:
    """What a small run wrote into its file."""
    file = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", name, *arguments, "--json", str(file), "--dir", str(tmp_path / "x")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")
def test_both_ends_of_the_wire_are_measured(tmp_path: Path) -> None:
    """The echo is as large as the session, each side answers one thread and many, and the budget is there."""
    small = ("--sessions", "50", "--rounds", "2", "--batch", "5", "--seconds", "0.5", "--repeats", "1")
    found = result_of(tmp_path, "lanes", *small)

    assert set(found["latency"]) == {"bare Thespian echo", "ask(LoadSession)", "client.load, actor lane"}
    assert found["bytes"]["reply"] > found["bytes"]["request"] > 50
    for rates in found["throughput"].values():
        assert set(rates) == {"1", "4", "16"}
        assert all(rate > 0 for rate in rates.values())
    assert found["budgets"][0]["need"] == 1.25


def test_saves_with_and_without_sync_points(tmp_path: Path) -> None:
    """Both sides save, and each size has its row."""
    small = ("--sessions", "50", "--rounds", "2", "--batch", "40", "--sizes", "small", "large")
    found = result_of(tmp_path, "sync-points", *small)

    assert set(found["small"]) == set(found["large"]) == {"with sync points", "without"}
    assert [row["need"] for row in found["budgets"]] == [1.1, 1.1]
