"""Forks, threads and both together: no wrong byte in parent or child, and nothing hangs."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from coatcheck.changes import Increment
from coatcheck.errors import StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import Job

FORKS = 1000


def run(name: str, *arguments: object, timeout: float = 100.0) -> Any:
    """What the job says in its only line."""
    with Job(name, *arguments, module="tests.faults.fork_jobs") as job:
        answer = json.loads(job.line(timeout))
        assert job.finish() == []
        return answer


def test_a_thousand_forks_while_threads_read(home: Path) -> None:
    """A process forks a thousand times while its threads read: nobody reads a wrong byte, every child ends well."""
    answer = run("fork_while_reading", home, FORKS)

    assert answer["failed"] == 0
    assert answer["problems"] == []
    assert min(answer["turns"]) > 10
    assert LmdbStore(Settings(home=home)).check().problems == ()


def test_forks_while_threads_write(home: Path) -> None:
    """Threads and forked children write at the same time: every confirmed write counts, once."""
    answer = run("fork_while_writing", home, 100)

    assert answer["failed"] == 0
    assert answer["problems"] == []
    assert answer["total"] == answer["confirmed"]
    assert answer["check"] == []


@pytest.mark.parametrize(
    ("ending", "durability", "problems"),
    [
        ("abort", "second", ["KeyError('abort')"]),
        ("abort", "commit", ["KeyError('abort')"]),
        ("sync point", "second", []),
    ],
)
def test_a_fork_waits_for_a_writer_of_its_process(
    home: Path, ending: str, durability: str, problems: list[str]
) -> None:
    """A fork that meets a thread in a transaction lets it end; then nobody is refused, and nothing stays locked."""
    answer = run("fork_beside_a_writer", home, ending, durability)

    assert answer == {"child": 0, "problems": problems, "parent": None}


def test_a_store_built_before_the_fork(home: Path) -> None:
    """A store made and prepared before the fork is used by all children and the parent."""
    assert run("fork_before_the_first_use", home) == [0, 0, 0, 0]
    assert LmdbStore(Settings(home=home)).stats().sessions == 5


def test_threads_that_fork_at_the_same_time(home: Path) -> None:
    """Forks of several threads at one moment are in nobody's way."""
    assert run("fork_from_threads", home) == []


def test_children_of_children(home: Path) -> None:
    """Each generation uses what the one before had open."""
    with Job("fork_of_a_fork", home, module="tests.faults.fork_jobs") as job:
        assert job.finish() == ["well"]


def test_an_inherited_open_environment_is_refused(home: Path) -> None:
    """After a fork that Python was not told of, the child is told what happened and what to do; the parent goes on."""
    answer = run("fork_in_c", home)

    for text in answer["child"]:
        assert "inherited" in text
        assert str(answer["pid"]) in text
        assert "before the first use" in text
    assert len(answer["child"]) == 2
    assert answer["parent"] is None


def test_programs_started_while_threads_write(home: Path) -> None:
    """A program that is just being started keeps no gate shut."""
    assert run("fork_beside_subprocesses", home) == {"problems": [], "well": True}


def increment(settings: Settings, token: str) -> int:
    """In another process: count once."""
    return int(LmdbStore(settings).save(token, [Increment("total")]).data["total"])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_way_of_multiprocessing(home: Path, method: str) -> None:
    """Pools of each start method share the store with the process that made them."""
    settings = Settings(home=home)
    store = LmdbStore(settings)
    token, _ = store.create({"total": 0})

    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.starmap(increment, [(settings, token)] * 8)
        pool.close()
        pool.join()

    assert sorted(answers) == list(range(1, 9))
    record = store.load(token)
    assert record is not None
    assert record.data == {"total": 8}
    assert store.check().problems == ()
    store.close()


def test_a_fork_beside_a_stopped_writer(home: Path) -> None:
    """Another process stands still inside: the fork waits a second, loads go on, and the child is told the truth."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({})
    store.close()
    with (
        Job("fork_once", home, token, module="tests.faults.fork_jobs") as job,
        Job("pause_inside", home, token, "key") as writer,
    ):
        job.expect("ready")
        writer.expect("ready")
        writer.say("save")
        writer.expect("inside")
        job.say("fork")

        told = job.line()
        assert json.loads(job.line()) == []
        writer.say("go on")
        writer.expect("saved")
        job.say("save")
        job.expect("saved")

    assert "has to be started again" in told
    assert str(writer.pid) in told


def test_signal_handlers_may_fork(home: Path) -> None:
    """Wherever the signal comes: no write is lost or counted twice, and a child can load or is told why not."""
    assert run("fork_in_a_signal_handler", home, 300) == {"odd": [], "lost": 0}


def test_a_child_of_a_killed_writer_keeps_nobody_out(home: Path) -> None:
    """A child made inside of a transaction has a copy of the gate's descriptor, which does not keep the gate shut."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({})
    with Job("fork_inside_and_be_killed", home, module="tests.faults.fork_jobs") as job:
        job.line()

        store.save(token, [Increment("n")])

        job.say("end")
    store.close()


def test_a_fork_whose_parent_cannot_open_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error after one fork, such as no descriptor left, does not make the next one hang, nor the next verb fail."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({})

    def fail(*_: object) -> None:
        msg = "no descriptor left"
        raise StoreUnavailable(msg)

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(store.environment, "_open_inside", fail)
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)

    assert store.load(token) is not None
    store.close()
