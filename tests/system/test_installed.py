"""The actor system as it is installed: real folders instead of links, no run_system.py, no checkout around."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from coatcheck.client.actor_lane import ActorStore
from coatcheck.settings import Settings
from tests.system.running import ROOT, RunningSystem


class Installed(RunningSystem):
    """Started as ``python -m coatcheck.system`` from somewhere else."""

    def __init__(self, home: Path, site: Path, cwd: Path) -> None:
        super().__init__(home, cwd=cwd, PYTHONPATH=str(site), PYTHONSAFEPATH="1")
        self._arguments = [sys.executable, "-m", "coatcheck.system", "--home", str(home)]


def test_it_runs_without_the_checkout(home: Path, tmp_path: Path) -> None:
    """Nothing depends on links, on the current directory, or on the name of the program."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    shutil.copytree(ROOT / "coatcheck", site / "coatcheck", ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere.mkdir()
    assert not (site / "coatcheck" / "actors").is_symlink()
    with Installed(home, site, elsewhere) as system:
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"a": 1})
        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 1}
        store.close()
        maps = [Path(f"/proc/{pid}/cwd").readlink() for pid in system.family()]
        assert ROOT not in maps


def test_it_says_how_it_is_used(tmp_path: Path) -> None:
    """Its help names the commands and the program by which it was called."""
    for arguments, name in (
        ([str(ROOT / "run_system.py"), "--help"], "usage: run_system.py"),
        (["-m", "coatcheck.system", "--help"], "usage: python -m coatcheck.system"),
    ):
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.startswith(name)
        assert "demo" in done.stdout
