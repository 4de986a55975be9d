"""The audit file has every event exactly once, though its writer is killed, its file taken, its store set back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from coatcheck.admin.audit_file import AuditFile, AuditWriter
from coatcheck.settings import Settings
from coatcheck.store import audit
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.restore import restore
from coatcheck.testing import FakeClock
from tests.support.processes import await_that

WRITES = """
import sys
from pathlib import Path
from coatcheck.admin import audit_file
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore

audit_file.POLL = 0.001
store = LmdbStore(Settings(home=sys.argv[1]), background=False)
file = audit_file.AuditFile(store, Path(sys.argv[2]), most_bytes=20_000, count=1000)
while True:
    file.step()
    print(".", end="", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    """All lines, of former files first; each of them whole."""
    former = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [json.loads(line) for each in (*former, path) if each.exists() for line in each.read_text().splitlines()]


def principals(path: Path) -> list[object]:
    """Whom the lines are about."""
    return [each["principal"] for each in lines(path)]


def test_every_event_once(store: LmdbStore, path: Path) -> None:
    """What is there at the beginning, and what comes later; no whole sid and no token."""
    token, record = store.create({"a": "private"}, principal="ann")
    file = AuditFile(store, path)
    assert file.step() == 1
    store.delete(token)
    store.delete(store.create({})[0])
    assert (file.step(), file.step()) == (2, 0)
    file.close()

    found = lines(path)

    assert [(each["ring"], each["kind"]) for each in found] == [
        ("life", "created"),
        ("life", "deleted"),
        ("anonymous", "deleted"),
    ]
    assert found[0]["session"] == record.sid[:8]
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert not any(each in text for each in (record.sid, token[:20], "private"))


def test_where_the_last_one_has_stopped(store: LmdbStore, path: Path) -> None:
    """Another writer goes on behind the last whole line; what was left of a line is cut off."""
    for number in range(6):
        store.create({}, principal=f"user {number}")
        if number in (1, 3):
            file = AuditFile(store, path)
            file.step()
            file.close()
            content = path.read_bytes()
            # As if it had been killed in the middle of its last line.
            path.write_bytes(content[:-7])
    file = AuditFile(store, path)
    file.step()
    file.close()

    assert principals(path) == [f"user {number}" for number in range(6)]


def test_killed_all_the_time(home: Path, path: Path) -> None:
    """A writer that is killed again and again, while sessions begin and files rotate: each event once, in order."""
    store = LmdbStore(Settings(home=home))
    choice = random.Random(7)
    for turn in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITES, str(home), str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.read(1)
        for number in range(100):
            store.create({}, principal=f"user {turn * 100 + number}")
        time.sleep(choice.random() * 0.01)  # the moment is what this is about
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    file = AuditFile(store, path, most_bytes=20_000, count=1000)
    file.step()
    file.close()
    store.close()

    assert principals(path) == [f"user {number}" for number in range(1200)]
    assert len(list(path.parent.glob("audit.jsonl.*"))) > 5


def test_rotated(store: LmdbStore, path: Path) -> None:
    """By size, and so many former ones are kept."""
    file = AuditFile(store, path, most_bytes=1000, count=3)
    for number in range(40):
        store.create({}, principal=f"user {number}")
        file.step()
    file.close()

    names = sorted(each.name for each in path.parent.glob("audit.jsonl*"))
    kept = principals(path)

    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.3"]
    assert kept == [f"user {number}" for number in range(40 - len(kept), 40)]


@pytest.mark.parametrize("way", ["moved", "copied and cut", "removed while nobody wrote"])
def test_taken_away(store: LmdbStore, path: Path, way: str) -> None:
    """Whoever rotates it with his own tool gets each event once, too."""
    file = AuditFile(store, path)
    store.create({}, principal="before")
    file.step()
    taken = principals(path)
    if way == "moved":
        path.rename(path.with_name("elsewhere"))
    elif way == "copied and cut":
        with path.open("r+") as content:
            content.truncate(0)
    else:
        file.close()
        path.unlink()
        file = AuditFile(store, path)
    store.create({}, principal="after")
    file.step()
    file.close()

    assert (taken, principals(path)) == (["before"], ["after"])


def test_one_writer_at_a_time(store: LmdbStore, path: Path) -> None:
    """A second one writes nothing until the first has ended."""
    first, second = AuditFile(store, path), AuditFile(store, path)
    store.create({}, principal="ann")

    assert (first.step(), second.step()) == (1, 0)
    first.close()
    store.create({}, principal="bob")
    assert second.step() == 1
    second.close()
    assert principals(path) == ["ann", "bob"]


def test_what_the_ring_has_lost_is_said(
    store: LmdbStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the file, in the log, and in a number."""
    monkeypatch.setitem(audit.ROOM, audit.LIFE, 5)
    file = AuditFile(store, path)
    store.create({}, principal="first")
    file.step()
    for number in range(12):
        store.create({}, principal=f"user {number}")
    file.step()
    file.close()

    assert file.missed == 7
    assert [each["kind"] for each in lines(path)] == ["created", "missed"] + ["created"] * 5
    assert lines(path)[1]["detail"] == {"count": 7}
    assert "7 audit events were overwritten" in caplog.text


def test_a_store_that_was_set_back(
    home: Path, tmp_path: Path, path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restore, or a power loss, numbers come again: what happens then is written all the same."""
    store = LmdbStore(Settings(home=home), clock=clock)
    store.create({}, principal="kept")
    store.backup(tmp_path / "copy")
    for number in range(5):
        clock.advance(1)
        store.create({}, principal=f"lost {number}")
    file = AuditFile(store, path)
    file.step()
    file.close()
    store.close()
    restore(Settings(home=home, clock="system"), tmp_path / "copy")
    clock.advance(10)
    store = LmdbStore(Settings(home=home), clock=clock)
    for number in range(10):
        store.create({}, principal=f"new {number}")
    file = AuditFile(store, path)
    file.step()
    file.close()
    store.close()

    counts = Counter(principals(path))

    assert {name: count for name, count in counts.items() if count > 1 and name is not None} == {}
    assert {f"new {number}" for number in range(10)} <= set(counts)
    assert "gone back in time" in caplog.text


def test_a_disk_that_is_full_for_a_while(
    store: LmdbStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; afterwards it goes on where it was, and no half of a line stays."""
    store.create({}, principal="ann")
    write = os.write

    def full(descriptor: int, content: memoryview) -> int:
        write(descriptor, content[:9])
        raise OSError(28, "No space left on device")

    writer = AuditWriter(AuditFile(store, path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert (writer._step(), writer._step()) == (0, 0)
    assert writer._step() == 1
    writer._file.close()

    assert principals(path) == ["ann"]
    assert caplog.text.count("No space left") == 1
    assert "written again" in caplog.text


def test_a_position_that_can_be_noted_again(store: LmdbStore, path: Path) -> None:
    """It is the newest, as soon as there is room for it."""
    store.create({}, principal="ann")
    in_the_way = store.settings.home / ".audit-position"
    in_the_way.mkdir()
    writer = AuditWriter(AuditFile(store, path))
    writer._step()
    in_the_way.rmdir()
    store.create({}, principal="bob")
    writer._step()
    writer._file.close()
    path.unlink()
    store.create({}, principal="cy")
    again = AuditFile(store, path)
    again.step()
    again.close()

    assert principals(path) == ["cy"]


def test_no_line_twice_while_the_position_cannot_be_noted(store: LmdbStore, path: Path) -> None:
    """What has been written is not written again for that."""
    store.create({}, principal="ann")
    (store.settings.home / ".audit-position").mkdir()
    writer = AuditWriter(AuditFile(store, path))
    writer._step()
    store.create({}, principal="bob")
    writer._step()
    writer._step()
    writer._file.close()

    assert principals(path) == ["ann", "bob"]


def test_the_thread(store: LmdbStore, path: Path) -> None:
    """It writes by itself, and what is there when it ends."""
    writer = AuditWriter(AuditFile(store, path))
    writer.start()
    store.create({}, principal="ann")
    await_that(lambda: path.exists() and principals(path) == ["ann"], "the first line")
    store.create({}, principal="bob")

    writer.stop()

    assert principals(path) == ["ann", "bob"]
