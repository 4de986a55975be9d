"""kill -9 in a write storm: the store opens, check is clean, and every confirmed write is there."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import Job

WRITERS = 3
KILLS = 30
SHARED = 6


@dataclass
class Confirmed:
    """What the writers have said."""

    saves: dict[tuple[str, int], int] = field(default_factory=dict)
    flashes: dict[str, int] = field(default_factory=dict)
    created: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    lines: int = 0

    def hear(self, name: str, line: str) -> None:
        """One line of one writer."""
        self.lines += 1
        what, *rest = line.split()
        if what == "save":
            self.saves[name, int(rest[0])] = int(rest[1])
        elif what == "flash":
            self.flashes[name] = int(rest[1])
        else:
            getattr(self, what).add(rest[0])

    def compare(self, store: LmdbStore, shared: list[str]) -> None:
        """Every confirmed write is in the store, each write is there whole or not at all, and check is clean."""
        assert store.check().problems == ()
        for number, token in enumerate(shared):
            record = store.load(token)
            assert record is not None
            data = record.values()
            data.pop("blob", None)
            total = data.pop("total", 0)
            # A save sets its writer's count and adds one to the total: half a save would show in the sum.
            assert total == sum(data.values())
            for (name, session), count in self.saves.items():
                if session == number:
                    assert data[name] in (count, count + 1)
        seen = defaultdict(list)
        record = store.load(shared[0])
        assert record is not None
        for flash in record.flashes:
            by, turn = flash.message.split()
            seen[by].append(int(turn))
        for name, counts in seen.items():
            assert counts == sorted(set(counts))
            assert counts[-1] in (self.flashes.get(name, 0), self.flashes.get(name, 0) + 1)
        for token in self.created - self.deleting:
            record = store.load(token)
            assert record is not None
            assert record.data["by"]
        for token in self.deleted:
            assert store.find(token).reason == "deleted"


@pytest.fixture
def shared_store(home: Path) -> Iterator[LmdbStore]:
    """A store that this process has open as well."""
    store = LmdbStore(Settings(home=home))
    yield store
    store.close()


def test_random_writers_are_killed(home: Path, shared_store: LmdbStore) -> None:
    """Thirty writers die in the middle of their work, one after the other, while the rest go on."""
    dice = random.Random(1)
    shared = [shared_store.create({})[0] for _ in range(SHARED)]
    confirmed = Confirmed()
    with ExitStack() as stack:
        writers: dict[str, Job] = {}

        def start() -> None:
            name = f"w{len(started)}"
            writers[name] = stack.enter_context(Job("storm", home, json.dumps(shared), name))
            started.append(name)

        started: list[str] = []
        for _ in range(WRITERS):
            start()
        for job in writers.values():
            job.expect("ready")
        for kill in range(KILLS):
            name = dice.choice(sorted(writers))
            job = writers.pop(name)
            for _ in range(dice.randrange(5, 60)):
                confirmed.hear(name, job.line())
            for line in job.kill():
                confirmed.hear(name, line)
            start()
            # The others are never in the way of the one that died: they go on at once, and so does this process.
            shared_store.create({"after": kill})
            if kill % 10 == 9:
                assert shared_store.check().problems == ()
            writers[started[-1]].expect("ready")
        for name, job in writers.items():
            for line in job.kill():
                confirmed.hear(name, line)

    confirmed.compare(shared_store, shared)
    shared_store.close()
    confirmed.compare(LmdbStore(Settings(home=home)), shared)
    assert confirmed.lines > KILLS * 5
    assert confirmed.created
    assert confirmed.deleted


def test_everybody_is_killed_at_once(home: Path) -> None:
    """All processes of a store die at one moment, several times over; a new one opens it and finds every write."""
    store = LmdbStore(Settings(home=home))
    shared = [store.create({})[0] for _ in range(SHARED)]
    store.close()
    confirmed = Confirmed()
    for turn in range(3):
        with ExitStack() as stack:
            names = [f"t{turn}w{number}" for number in range(WRITERS)]
            writers = {name: stack.enter_context(Job("storm", home, json.dumps(shared), name)) for name in names}
            for job in writers.values():
                job.expect("ready")
            for name, job in writers.items():
                for _ in range(50):
                    confirmed.hear(name, job.line())
            for job in writers.values():
                job.signal(9)
            for name, job in writers.items():
                for line in job.kill():
                    confirmed.hear(name, line)

        store = LmdbStore(Settings(home=home))
        confirmed.compare(store, shared)
        store.close()


def test_the_killed_writer_held_the_gate(home: Path, shared_store: LmdbStore) -> None:
    """A writer killed inside its transaction leaves nothing of it, and the next writer has its turn at once."""
    token, before = shared_store.create({"a": 1})
    with Job("pause_inside", home, token, "late") as job:
        job.expect("ready")
        job.say("go")
        job.expect("inside")
        job.kill()

        saved = shared_store.create({"next": 1})

    assert saved
    record = shared_store.load(token)
    assert record is not None
    assert (record.data, record.version) == (before.data, before.version)
    assert shared_store.check().problems == ()
