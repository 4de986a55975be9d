"""A signal handler that raises in the middle of a verb, as a request's time limit does: nothing stays locked."""

from __future__ import annotations

import json
from pathlib import Path

from coatcheck.changes import Set
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import Job


def test_an_interrupted_writer_locks_nobody_out(home: Path) -> None:
    """After each of a thousand interrupted verbs the same thread goes on; a save counts once or not at all."""
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"n": 0})
    with Job("interrupted", home, token, 1000) as job:
        answer = json.loads(job.line(60))

        # It is still alive, and idle: whatever it had locked would be locked for everybody else now.
        assert store.save(token, [Set("other", 1)]).data["other"] == 1
        assert store.check().problems == ()
        job.say("end")
        assert job.finish() == ["forked"]

    assert answer["errors"] == []
    record = store.load(token)
    assert record is not None
    assert answer["confirmed"] <= record.data["n"] <= answer["confirmed"] + answer["interrupted"]
    assert answer["interrupted"] == 1000
    store.close()
