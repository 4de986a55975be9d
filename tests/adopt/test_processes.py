"""Several processes at once, and one that is killed between the two stores."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from cachelib import FileSystemCache

from coatcheck.adopt import Adopter, FlaskSessionCachelib
from coatcheck.client import SessionClient
from coatcheck.settings import Settings
from tests.support.processes import ROOT

ID = "an-old-id-in-a-file-01"


def started(home: Path, files: Path, *dies: str) -> subprocess.Popen[str]:
    """A process that is ready to adopt."""
    job = [sys.executable, "-m", "tests.adopt.process_job", str(home), str(files), ID, *dies]
    process = subprocess.Popen(job, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def legacy(files: Path) -> FileSystemCache:
    """Files with a session of Ann's."""
    cache = FileSystemCache(str(files), threshold=0)
    cache.set(f"session:{ID}", {"_user_id": "ann", "cart": [1]})
    return cache


def test_processes_that_adopt_at_once_end_in_one_session(home: Path, tmp_path: Path) -> None:
    """All have the same token, and what each of them wrote is there."""
    legacy(tmp_path / "old")
    jobs = [started(home, tmp_path / "old") for _ in range(4)]
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("\n")
        job.stdin.flush()
    tokens = {job.communicate(timeout=60)[0].strip() for job in jobs}

    assert [job.returncode for job in jobs] == [0] * 4
    (token,) = tokens
    with SessionClient(Settings.load(home, {})) as client:
        assert dict(client.open(token)) == {"_user_id": "ann", "cart": [1], "visits": 4}
        assert client.stats().sessions == 1
        assert client.check().clean


def test_who_is_killed_in_between_has_moved_the_session(home: Path, tmp_path: Path) -> None:
    """It is here, under the token that the next request finds; the file goes when the old cookie comes again."""
    cache = legacy(tmp_path / "old")
    job = started(home, tmp_path / "old", "dies")
    job.communicate("\n", timeout=60)
    assert job.returncode == -signal.SIGKILL
    assert cache.has(f"session:{ID}")

    with SessionClient(Settings.load(home, {})) as client:
        origin = Adopter([FlaskSessionCachelib(cache, allow_pickle=True)]).origin_of(client, f"session={ID}")
        assert origin is not None
        session = client.open_from(origin)
        assert (session.principal, dict(session)) == ("ann", {"_user_id": "ann", "cart": [1]})
        assert client.stats().sessions == 1
        session.logout()
        session.commit()

        again = client.open_from(origin)
        assert (again.principal, again.reason) == (None, "deleted")
        assert not cache.has(f"session:{ID}")
