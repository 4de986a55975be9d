"""Flask's own published tests, run as they are with coatcheck in the place of Flask's sessions.

They are of the version that is installed, fetched by pip, and kept in no repository. Flask-Session's tests are not run:
they look into the stores of Flask-Session.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import ROOT
from tests.support.require import require

LEFT_OUT: Final = {
    "test_basic.py::test_session_accessed": "`modified` says what waits for the commit, so afterwards it is False",
    "test_basic.py::test_session_using_samesite_attribute": "a wrong SameSite is a ConfigurationError, no ValueError",
    "test_basic.py::test_missing_session": "there is no null session: no SECRET_KEY is needed",
    "test_testing.py::test_session_transactions_no_null_sessions": "the same",
    "test_basic.py::test_session_secret_key_fallbacks": "no cookie is signed with SECRET_KEY, so no key can be wrong",
    "test_basic.py::test_session_expiration": "the cookie has a Max-Age, and no Expires, which it looks for",
}
"""What has to fail with coatcheck, and why. Everything else passes, if it does without coatcheck."""


@pytest.fixture(scope="module")
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the installed Flask, unpacked."""
    name = f"flask-{version('flask')}"
    # Without pytest's cache, as with -p no:cacheprovider, there is pip's.
    cache = getattr(request.config, "cache", None)
    kept = Path(cache.mkdir("published")) if cache else tmp_path_factory.mktemp("sdist")
    archive = kept / f"{name}.tar.gz"
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", f"--dest={kept}"]
        done = subprocess.run([*pip, name.replace("-", "==")], capture_output=True, text=True, timeout=100, check=False)
        require(archive.exists(), f"pip, which fetches {archive.name}: {done.stderr[-300:]}")
    place = tmp_path_factory.mktemp("published")
    with tarfile.open(archive) as tar:
        tar.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
    return place / name


def failures(place: Path, *, swapped: bool) -> tuple[set[str], int]:
    """What fails, and how many pass, with coatcheck or without."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SWAPPED": "1" if swapped else "", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "tests.flask.swapped", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests"], cwd=place, env=environ, capture_output=True, text=True, timeout=110, check=False
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", done.stdout, re.MULTILINE)), int(passed[1])


def test_flask_s_own_tests_pass(published: Path) -> None:
    """All that pass without coatcheck, but the listed ones, which fail as they should."""
    without, passing = failures(published, swapped=False)
    with_it, _ = failures(published, swapped=True)
    there = set()
    for case in LEFT_OUT:
        file, _, name = case.partition("::")
        if f"def {name}(" in (published / "tests" / file).read_text(encoding="utf-8"):
            there.add(case)

    assert passing > 300
    assert with_it - without == there
