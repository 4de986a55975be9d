"""``python -m benchmarks api``, small enough for a test. Shapes only: a test that times is a test that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ServerMissing, redis_program

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"flask-session + redis", "flask signed cookie", "coatcheck direct", "coatcheck actor"}
NUMBERS = {"count", "p50", "p90", "p99", "max"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one small run wrote into its file."""
    try:
        redis_program()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("benchmarks")
    file = directory / "result.json"
    arguments = [
        sys.executable,
        "-m",
        "benchmarks",
        "api",
        "--sessions",
        "200",
        "--rounds",
        "3",
        "--batch",
        "20",
        "--warm-up",
        "0",
        "--one-cpu",
    ]
    arguments += ["--json", str(file), "--dir", str(directory / "work")]

    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    assert "coatcheck direct" in done.stdout
    assert list((directory / "work").iterdir()) == []
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_result_says_what_ran_where(result: dict[str, Any]) -> None:
    """Options, versions and the load of the machine are in the file: a ratio without them cannot be judged."""
    assert (result["benchmark"], result["sessions"], result["rounds"], result["batch"]) == ("api", 200, 3, 20)
    assert {"python", "cpus", "load_average", "libraries"} <= set(result["machine"])
    assert {"lmdb", "flask", "flask-session", "redis"} <= set(result["machine"]["libraries"])


def test_every_side_measured_every_operation(result: dict[str, Any]) -> None:
    """All sides loaded and saved at all sizes, but for the cookie where a browser would not keep it."""
    assert set(result["sizes"]) == {"small", "medium", "large"}
    for size, found in result["sizes"].items():
        expected = SIDES - {"flask signed cookie"} if size == "large" else SIDES
        for operation in ("load", "load (cookies parsed before)", "save"):
            assert set(found[operation]) == expected, (size, operation)
            for numbers in found[operation].values():
                assert set(numbers) == NUMBERS
                assert numbers["count"] == 60
                assert 0 < numbers["p50"] <= numbers["p90"] <= numbers["p99"] <= numbers["max"]


def test_budgets_stand_beside_what_was_seen(result: dict[str, Any]) -> None:
    """Each row of the design that this benchmark can answer is there, with the needed and the seen ratio."""
    rows = {row["what"]: row for row in result["budgets"]}
    against_redis = {
        f"{operation} p50, {size}, against flask-session + redis"
        for operation in ("load", "save")
        for size in ("small", "medium", "large")
    }

    assert against_redis | {"load p50, small, against flask signed cookie"} <= set(rows)
    for row in rows.values():
        assert row["low"] <= row["high"]
        assert row["met"] is (row["seen"] >= row["need"])
