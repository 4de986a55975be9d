"""kill -9 in the middle of a restore, and a writer who waits for its end."""

from __future__ import annotations

import random
import time
from pathlib import Path

from coatcheck.changes import Set
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.restore import restore
from tests.support.processes import Job

KILLS = 12


def test_a_restore_that_is_killed(home: Path, tmp_path: Path) -> None:
    """Whenever it dies, the store opens as one of the two, whole; never as a mixture, and never not at all."""
    settings = Settings(home=home)
    store = LmdbStore(settings, background=False)
    token, _ = store.create({"which": 0, "pad": "x" * 2000})
    backups = []
    for number in range(2):
        store.save(token, [Set("which", number)])
        for _ in range(100 * number):
            store.create({"pad": "y" * 3000})
        backups.append(tmp_path / f"backup-{number}")
        store.backup(backups[-1])
    store.close()
    sessions = {0: 1, 1: 101}
    dice = random.Random(7)
    for _ in range(KILLS):
        with Job("restore_over_and_over", home, *backups) as job:
            job.expect("ready")
            begin = time.monotonic()
            for _ in range(2):
                job.line()
            round_trip = time.monotonic() - begin
            time.sleep(dice.uniform(0, round_trip))  # it is to die at any moment, not at one that can be awaited
            job.kill()

        store = LmdbStore(settings, background=False)
        record = store.load(token)
        assert record is not None
        report = store.check()
        assert report.clean
        assert report.sessions == sessions[record.data["which"]]
        store.create({"after": 1})
        store.close()

    restore(settings, backups[1])
    assert not list(home.glob(".restore*"))


def test_an_opener_waits_for_a_restore(home: Path, tmp_path: Path) -> None:
    """Who comes in the middle is let in when it is over, and finds the backup."""
    settings = Settings(home=home)
    store = LmdbStore(settings, background=False)
    token, _ = store.create({"which": 0})
    store.backup(tmp_path / "backup")
    store.save(token, [Set("which", 1)])
    store.close()
    with Job("restore_over_and_over", home, tmp_path / "backup") as job:
        job.expect("ready")
        job.expect("0")
        for _ in range(5):
            store = LmdbStore(settings, background=False)
            record = store.load(token)
            assert record is not None
            assert record.data["which"] == 0
            store.close()
        job.kill()
