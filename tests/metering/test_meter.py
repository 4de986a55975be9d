"""What a process does about its counters."""

from __future__ import annotations

import gc
import multiprocessing
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

import coatcheck
from coatcheck.metering import meter as module
from coatcheck.metering import meter_of, read
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore

ENDS = """
import os, signal, sys
import coatcheck

client = coatcheck.connect(sys.argv[1])
token, _ = client.create({"a": 1})
for _ in range(10):
    client.load(token)
if sys.argv[2] == "kill":
    client.store._meter.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Owner:
    """Somebody who counts."""


@pytest.fixture(autouse=True)
def others() -> set[threading.Thread]:
    """The threads of stores that other tests have left to the collector."""
    _OTHERS.clear()
    _OTHERS.update(threading.enumerate())
    return _OTHERS


_OTHERS: set[threading.Thread] = set()


def meter_threads() -> list[threading.Thread]:
    """The threads that write counters down in this process, of this test."""
    return [each for each in threading.enumerate() if each.name == "coatcheck-meter" and each not in _OTHERS]


@pytest.mark.parametrize("way", ["exit", "kill"])
def test_processes_add_up(home: Path, way: str) -> None:
    """What several processes have counted is one sum, however they end."""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", ENDS, str(home), way], check=False, timeout=60)

    counts = read(home).counts

    assert (counts["store.create"], counts["store.load"]) == (3, 30)


def test_a_store_counts_while_it_is_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread for all stores of a process writes down once a second; after the last close there is none."""
    monkeypatch.setattr(module, "FLUSH", 0.01)
    stores = [LmdbStore(Settings(home=home)) for _ in range(3)]
    for store in stores:
        token, _ = store.create({})
        store.load(token)
    threads = meter_threads()

    written = threading.Event()
    while not written.wait(0.01):
        if read(home).counts.get("store.load") == 3:
            written.set()
    for store in stores:
        store.close()

    assert len(threads) == 1
    threads[0].join(5)
    assert meter_threads() == []
    assert read(home).counts["store.load"] == 3
    assert read(home).processes == ()


def test_closed_and_opened_again(home: Path) -> None:
    """What is counted after a close is added to what was counted before."""
    store = LmdbStore(Settings(home=home))
    for number in range(1, 4):
        store.create({})
        store.close()
        assert read(home).counts["store.create"] == number


def test_prepare_leaves_nothing(home: Path) -> None:
    """A master process that only sees that the store can be opened has no thread, and no file."""
    LmdbStore(Settings(home=home)).prepare()

    assert meter_threads() == []
    assert read(home).counts == {}


def test_a_forked_child_counts_for_itself(home: Path) -> None:
    """What the parent has counted is not counted again by its children; each of them has its own thread."""
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({})
    for _ in range(5):
        store.load(token)

    def child() -> None:
        store.load(token)
        assert meter_threads()
        store.close()

    children = [multiprocessing.get_context("fork").Process(target=child) for _ in range(3)]
    for each in children:
        each.start()
    for each in children:
        each.join(30)
        assert each.exitcode == 0
    store.close()

    assert read(home).counts["store.load"] == 8


def test_collected_owners_count_on(tmp_path: Path) -> None:
    """A client that was dropped without a word has counted all the same; its thread ends."""
    meter = meter_of(tmp_path)
    owner, counters = Owner(), Counter({"seen": 4})
    meter.add("x", owner, counters).begin()
    counters["seen"] += 1
    meter.flush()
    thread = meter._thread
    assert thread is not None

    del owner, meter
    gc.collect()
    thread.join(10)

    assert not thread.is_alive()
    assert read(tmp_path).counts == {"x.seen": 5}


def test_a_removed_file_is_written_anew(tmp_path: Path) -> None:
    """Somebody who tidies up costs no number that a living process knows."""
    meter, owner, counters = meter_of(tmp_path), Owner(), Counter({"seen": 4})
    source = meter.add("x", owner, counters)
    source.begin()
    meter.flush()
    for each in (tmp_path / "counters").iterdir():
        each.unlink()

    meter.flush()

    assert read(tmp_path).counts == {"x.seen": 4}
    source.end()


def test_a_directory_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    """Where nothing can be written, counting goes on, and no directory is made."""
    gone = tmp_path / "gone"
    meter, owner, counters = meter_of(gone), Owner(), Counter({"seen": 4})
    source = meter.add("x", owner, counters)
    source.begin()
    meter.flush()
    source.end()

    assert not gone.exists()


def test_many_names_disturb_nobody(tmp_path: Path) -> None:
    """Counters that do not fit into a file raise nothing."""
    meter, owner = meter_of(tmp_path), Owner()
    source = meter.add("x", owner, Counter({f"name {number}" * 20: 1 for number in range(1000)}))
    source.begin()
    meter.flush()
    source.end()


def test_why_there_was_no_session(home: Path) -> None:
    """Sessions that ended and tokens that found none are counted under different names."""
    with coatcheck.connect(home) as client:
        token, _ = client.create({})
        assert client.delete(token)
        assert client.load(token) is None
        assert client.find(token).reason == "deleted"
        assert client.load("A" * 54) is None
        client.open(token)

    counts = read(home).counts

    assert counts["store.deleted"] == 1
    assert counts["store.absent_deleted"] == 3
    assert counts["store.absent_forged"] == 1
    assert {each.name for each in (home / "counters").iterdir()} == {"lock", "total"}
