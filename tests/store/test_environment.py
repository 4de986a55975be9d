"""One environment a process and state directory: opened when it is needed, shared, and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from coatcheck.changes import Increment
from coatcheck.errors import ConfigurationError
from coatcheck.settings import Settings
from coatcheck.store.gate import SharedGate, WriterGate
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import together
from tests.support.processes import await_that

MANY = 20


def open_files(home: Path) -> list[str]:
    """The files below a directory that this process has open."""
    names = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor by which we look is gone by now
            names.append(str(each.readlink()))
    return sorted(each for each in names if each.startswith(f"{home}/"))


@pytest.fixture
def stores(home: Path) -> Iterator[list[LmdbStore]]:
    """Stores of one process on one state directory."""
    made = [LmdbStore(Settings(home=home)) for _ in range(3)]
    yield made
    for each in made:
        each.close()
    assert open_files(home) == []


def test_nothing_is_opened_before_the_first_verb(home: Path) -> None:
    """A store that is only built touches no file, so it can be built before a fork."""
    store = LmdbStore(Settings(home=home))

    assert not home.exists()
    assert store.load("x" * 54) is None
    assert home.exists()
    store.close()


def test_prepare_makes_the_store_and_leaves_nothing_open(home: Path) -> None:
    """``prepare`` tells what is wrong at start, and keeps nothing that a fork could inherit."""
    store = LmdbStore(Settings(home=home))

    store.prepare()

    assert (home / "data.mdb").exists()
    assert open_files(home) == []
    home.chmod(0o755)
    with pytest.raises(ConfigurationError):
        LmdbStore(Settings(home=home)).prepare()
    home.chmod(0o700)
    assert store.create({})
    store.close()


def test_stores_of_one_process_share_the_environment(home: Path, stores: list[LmdbStore]) -> None:
    """Three stores see each other's writes; the data file is open once, until the last of them is closed."""
    token, _ = stores[0].create({"n": 0})
    for each in stores:
        each.save(token, [Increment("n")])
    opened = open_files(home)
    assert f"{home}/data.mdb" in opened

    stores[0].close()
    stores[1].close()
    assert open_files(home) == opened
    record = stores[2].load(token)
    assert record is not None
    assert record.data == {"n": 3}
    stores[2].close()

    assert open_files(home) == []


def test_the_same_directory_by_another_name(home: Path, tmp_path: Path, stores: list[LmdbStore]) -> None:
    """A link to the state directory is the same store, not a second environment on the same file."""
    token, _ = stores[0].create({"a": 1})
    (tmp_path / "link").symlink_to(home)
    other = LmdbStore(Settings(home=tmp_path / "link"))

    assert other.load(token) is not None
    assert other.environment is stores[0].environment
    other.close()


def test_threads_that_use_a_store_first_at_the_same_time(home: Path) -> None:
    """Twenty first verbs at once open one environment, and one close closes it."""
    store = LmdbStore(Settings(home=home))

    sids = {record.sid for _, record in together(MANY, lambda number: store.create({"n": number}))}

    assert len(sids) == store.stats().sessions == MANY
    store.close()
    assert open_files(home) == []


def test_a_close_while_threads_work(home: Path) -> None:
    """A close in the middle of other threads' verbs disturbs none of them: they open again, and a last close closes."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({"n": 0})
    turns = [0] * 4
    stop = threading.Event()

    def work(number: int) -> None:
        try:
            if number == 0:
                for _ in range(60):
                    seen = sum(turns)
                    await_that(lambda seen=seen: sum(turns) > seen, "somebody works")  # type: ignore[misc]
                    store.close()
                return
            while not stop.is_set():
                assert store.load(token) is not None
                store.save(token, [Increment("n")])
                turns[number] += 1
        finally:
            stop.set()

    together(4, work)

    record = store.load(token)
    assert record is not None
    assert record.data == {"n": sum(turns)}
    store.close()
    assert open_files(home) == []


def test_a_store_that_could_not_be_opened_can_be_tried_again(home: Path) -> None:
    """An error of opening leaves nothing open and nothing locked; when its cause is gone all is well."""
    LmdbStore(Settings(home=home)).prepare()
    store = LmdbStore(Settings(home=home))
    (home / "secret").chmod(0o644)
    for _ in range(3):
        with pytest.raises(ConfigurationError):
            store.create({})
        assert open_files(home) == []

    (home / "secret").chmod(0o600)

    assert store.create({})
    store.close()


def test_many_stores_one_after_the_other(tmp_path: Path) -> None:
    """Opening and closing many state directories leaves no descriptor and no thread behind."""
    threads = threading.active_count()
    for number in range(20):
        store = LmdbStore(Settings(home=tmp_path / str(number)))
        store.create({})
        store.close()

    assert open_files(tmp_path) == []
    assert threading.active_count() == threads


def test_two_state_directories_at_once(tmp_path: Path) -> None:
    """Each directory is a store of its own, with secrets of its own."""
    with ExitStack() as stack:
        first, second = (LmdbStore(Settings(home=tmp_path / name)) for name in ("one", "two"))
        for each in (first, second):
            stack.callback(each.close)
        token, _ = first.create({})

        assert first.load(token) is not None
        assert second.find(token).reason == "forged"


def test_each_durability(tmp_path: Path) -> None:
    """A store of either durability keeps what was confirmed, and whoever opens it later takes it as it is."""
    for durability in ("second", "commit"):
        home = tmp_path / durability
        store = LmdbStore(Settings.load(home, {}, durability=durability))
        token, _ = store.create({"a": 1})
        store.save(token, [Increment("a")])
        store.close()

        again = LmdbStore(Settings(home=home))
        record = again.load(token)
        assert record is not None
        assert record.data == {"a": 2}
        assert again.stats().durability == durability
        assert again.check().problems == ()
        again.close()


@pytest.mark.parametrize("kind", [WriterGate, SharedGate])
def test_a_gate_that_is_closed_twice_closes_nothing_else(tmp_path: Path, kind: type[WriterGate | SharedGate]) -> None:
    """A child of a child gives up the same copies again; their numbers may be those of other files by then."""
    gate = kind(tmp_path / "gate")
    gate.close()
    with (tmp_path / "other").open("w") as other:
        gate.close()

        other.write("still open")

    assert (tmp_path / "other").read_text() == "still open"
