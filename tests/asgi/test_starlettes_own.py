"""Starlette's published tests of its SessionMiddleware, with coatcheck's in its place."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.asgi.driving import LOOPS
from tests.support.require import require

ROOT = Path(__file__).parents[2]

LEFT_OUT = {
    "test_session_expires": "max_age=-1: a session that never lives is refused when it is configured, not by visitors",
    "test_session_zero_max_age": "max_age=0: likewise",
    "test_domain_cookie": "Domain is written without the leading dot, which means nothing (RFC 6265, 5.2.3)",
    "test_session_tracks_modification": "makes Starlette's own class by hand; what is asked of it, test_mutators asks",
}
"""Cases that are not run, and why."""

RUN = 8
"""The tests of the file that are run, each on asyncio and on trio; newer versions of Starlette have more."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the Starlette that is installed, which alone has the tests."""
    folder = tmp_path_factory.mktemp("starlette")
    version = importlib.metadata.version("starlette")
    done = subprocess.run(
        [
            *[sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"],
            *["--no-binary", "starlette", "--dest", str(folder), f"starlette=={version}"],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, f"the sources of starlette {version} from the package index")
    (archive,) = folder.glob("starlette-*.tar.gz")
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(folder)
    return folder / f"starlette-{version}"


@pytest.mark.timeout(300)
def test_they_pass(sources: Path, tmp_path: Path) -> None:
    """On asyncio and trio; all but those that are named above, with their reasons."""
    tests = sources / "tests" / "middleware" / "test_session.py"
    names = set(re.findall(r"^def (test_\w+)", tests.read_text(encoding="utf-8"), re.MULTILINE))
    run = names - LEFT_OUT.keys()
    assert len(run) >= RUN
    left_out = [f"--deselect=tests/middleware/test_session.py::{name}" for name in LEFT_OUT]
    # From its own folder, where `tests` is Starlette's; the plugin comes by its path.
    done = subprocess.run(
        [
            *[sys.executable, "-m", "pytest", "-q", "-p", "swapped", "-o", "addopts=", "-p", "no:cacheprovider"],
            *["tests/middleware/test_session.py", *left_out],
        ],
        cwd=sources,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/asgi"), str(ROOT)]),
            "COATCHECK_SWAPPED": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= len(LOOPS) * len(run), done.stdout
    assert list(tmp_path.glob("*/data.mdb")), "coatcheck's middleware was not in use"
