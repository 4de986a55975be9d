"""kill -9 while a store is encrypted or decrypted, and forks of a process with keys."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from coatcheck.changes import Increment
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.keys import NEW
from tests.support.processes import Job

KILLS = 12


def test_a_change_that_is_killed(home: Path) -> None:
    """Whenever it dies, the store is encrypted as a whole or not at all, and nothing in it is lost."""
    store = LmdbStore(Settings(home=home), background=False)
    tokens = [store.create({"n": number, "pad": "x" * 500}, principal="ann")[0] for number in range(400)]
    big, _ = store.create({"big": "y" * 20_000})
    store.close()
    dice = random.Random(7)
    seen = set()
    for _ in range(KILLS):
        with Job("encrypt_and_decrypt", home, NEW) as job:
            job.expect("ready")
            begin = time.monotonic()
            for _ in range(2):
                job.line()
            round_trip = time.monotonic() - begin
            time.sleep(dice.uniform(0, round_trip))  # it is to die at any moment, not at one that can be awaited
            job.kill()

        store = LmdbStore(Settings(home=home, encryption_keys=[NEW]), background=False)
        store.any_keys = True
        encrypted = bool(store.stats().encryption)
        store.close()
        store = LmdbStore(Settings(home=home, encryption_keys=[NEW] if encrypted else None), background=False)
        report = store.check()
        assert report.clean
        assert report.sessions == 401
        assert sum(report.sealed.values()) == (401 if encrypted else 0)
        assert [store.load(token).data["n"] for token in tokens] == list(range(400))  # type: ignore[union-attr]
        assert store.load(big).data == {"big": "y" * 20_000}  # type: ignore[union-attr]
        seen.add(encrypted)
        store.close()

    assert seen == {True, False}


def test_forks(home: Path) -> None:
    """Workers that are forked after the first use seal under the same keys, and no two pieces under one nonce."""
    store = LmdbStore(Settings(home=home, encryption_keys=[NEW]))
    token, _ = store.create({"n": 0})
    children = []
    for _ in range(4):
        pid = os.fork()
        if not pid:
            try:
                for _ in range(50):
                    store.save(token, [Increment("n")])
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the exit code tells
                os._exit(1)
        children.append(pid)

    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert store.load(token).data == {"n": 200}  # type: ignore[union-attr]
    assert store.check().clean
    store.close()


def test_nonces_differ_after_a_fork() -> None:
    """What a child draws is not what its parent draws: a nonce that came twice would give two values away."""
    from coatcheck.sealing import META, sealing_of

    sealing = sealing_of(Settings(encryption_keys=[NEW]))
    assert sealing is not None
    seal = sealing.session(b"s" * 16)
    seal.seal(META, b"before")
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writing, seal.seal(META, b"child")[4:16])
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() != seal.seal(META, b"parent")[4:16]
