"""Exceptions that a signal handler raises in the middle of a verb, as time limits of task queues and Ctrl-C do."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.errors import SessionMissing
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import Job


class TimeIsUp(Exception):
    """Raised by the handler."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises TimeIsUp wherever the main thread is."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_interrupts_lock_nobody_out(home: Path) -> None:
    """After 500 interrupts at any point of loads and saves: what was confirmed counts, and everybody can write."""
    dice = Random(7)
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"n": 0})
    confirmed = interrupts = 0
    while interrupts < 500:
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.002))
            while True:
                store.load(token)
                store.save(token, [Increment("n")])
                confirmed += 1
        except TimeIsUp:
            interrupts += 1

    assert store.save(token, [Set("after", 1)]).data["n"] >= confirmed
    with Job("save_keys", home, token, "other", "3") as other:
        other.expect("ready")
        other.say("go")
        other.expect("done")
    failed: list[BaseException] = []
    thread = threading.Thread(target=_refused_write, args=(store, failed))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(each) for each in failed] == [SessionMissing]
    assert store.check().problems == ()
    assert _child_reads(store, token) == json.dumps({"after": 1})
    store.close()


def _refused_write(store: LmdbStore, failed: list[BaseException]) -> None:
    token, _ = store.create({})
    store.delete(token)
    try:
        store.save(token, [Set("a", 1)])
    except SessionMissing as error:
        failed.append(error)


def _child_reads(store: LmdbStore, token: str) -> str:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        record = store.load(token)
        os.write(writer, json.dumps({"after": record and record.data["after"]}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer
