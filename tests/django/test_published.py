"""Django's own published tests, against our engine, our middleware and our storage of messages."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import django
import pytest

from tests.django.published import LEFT_OUT
from tests.support.require import require

ROOT = Path(__file__).parents[2]
AT_LEAST = {"sessions": 37, "stock-middleware": 10, "middleware": 8, "messages": 37, "auth": 140}
"""How many there are in the oldest Django; a run of fewer has not found them."""


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``tests`` of the source distribution of the installed Django, downloaded once into pytest's cache."""
    version = django.get_version()
    cache = Path(request.config.cache.mkdir("django-sdist"))
    archive = cache / f"django-{version}.tar.gz"
    if not archive.exists():
        subprocess.run(
            [
                *[sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"],
                *["--dest", str(cache), f"django=={version}"],
            ],
            check=False,
            capture_output=True,
            timeout=100,
        )
    require(archive.exists(), f"the source distribution of Django {version}")
    folder = tmp_path_factory.mktemp("django")
    with tarfile.open(archive) as tar:
        inside = [each for each in tar.getmembers() if each.name.startswith(f"django-{version}/tests/")]
        tar.extractall(folder, inside, filter="data")
    return folder / f"django-{version}" / "tests"


@pytest.mark.parametrize("what", list(LEFT_OUT))
def test_djangos_own_tests_pass(what: str, published: Path) -> None:
    """All of them but those that are listed with a reason."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.django.published", what, str(published)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["failed"] == {}
    assert result["ran"] >= AT_LEAST[what], result
