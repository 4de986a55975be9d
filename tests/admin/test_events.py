"""Audit events as operators see them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import coatcheck
from coatcheck.admin.events import POLL, RINGS, WORDS, Event, Reader, follow, newest, recent
from coatcheck.settings import Settings
from coatcheck.store import audit
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock

SIGNS_IN = """
import sys
import coatcheck

client = coatcheck.connect(sys.argv[1])
for line in sys.stdin:
    client.create({}, principal=line.strip())
"""


def test_what_is_shown(store: LmdbStore, clock: FakeClock) -> None:
    """Time, kind, the beginning of the sid, the principal and who acted; no token, no whole sid."""
    reader = Reader(store, {})
    token, record = store.create({"a": "private"}, principal="ann")
    clock.advance(1)
    with coatcheck.acting_as("eve"):
        store.revoke("ann")
    store.note_refused("forged", "203.0.113.9")
    store.upkeep.tell()

    created, revoked, refused = reader.read().events

    assert created == Event("life", 0, record.created_at, "created", record.sid[:8], "ann")
    assert (revoked.kind, revoked.session, revoked.by) == ("revoked", record.sid[:8], "eve")
    assert (refused.ring, refused.detail) == ("refused", {"peer": "203.0.113.9", "forged": 1})
    assert created.time.endswith("Z")
    for each in (created, revoked, refused):
        assert each.kind in each.as_text()
        told = json.dumps(each.as_json()) + each.as_text() + repr(each)
        assert record.sid not in told
        assert token[:20] not in told
        assert "private" not in told


def test_every_kind_has_words(store: LmdbStore) -> None:
    """What no table foresees speaks for itself."""
    store.note_action("user_merged")

    [event] = Reader(store, {}).read().events

    assert event.words == "user merged"
    assert all(words and words == words.strip() for words in WORDS.values())


def test_nothing_that_others_chose_moves_a_cursor() -> None:
    """A user name with control characters, spaces or halves of characters is shown as text, on one line."""
    event = Event("life", 0, 0, "login", principal="\x1b[2J\nname=x \ud800", detail={"n": ["\r", {"a": (1,)}, None]})

    text = event.as_text()

    assert text.isprintable()
    assert "\\x1b[2J\\n" in text
    json.dumps(event.as_json(), ensure_ascii=False).encode()


def test_from_a_position_on(store: LmdbStore) -> None:
    """From the beginning, from now on, or after what was read before; in pages."""
    for number in range(5):
        store.create({}, principal=f"user {number}")
    end = newest(store)
    later = Reader(store)
    store.create({}, principal="user 5")

    pages = Reader(store, {})
    first, second = pages.read(4), pages.read(4)

    assert [each.principal for each in (*first.events, *second.events)] == [f"user {number}" for number in range(6)]
    assert (first.more, second.more) == (True, False)
    assert [each.principal for each in later.read().events] == ["user 5"]
    assert [each.principal for each in Reader(store, end).read().events] == ["user 5"]
    assert pages.read().events == ()
    assert [each.principal for each in recent(store, 2).events] == ["user 4", "user 5"]
    assert recent(store, 2).position == newest(store)


def test_only_some_rings(store: LmdbStore) -> None:
    """Who looks for logins need not read of refused tokens."""
    store.create({}, principal="ann")
    store.delete(store.create({})[0])
    store.note_refused("forged", "203.0.113.9")
    store.upkeep.tell()

    for name in RINGS:
        assert {each.ring for each in Reader(store, {}, rings=[name]).read().events} == {name}
    with pytest.raises(ValueError, match="'lives'"):
        Reader(store, rings=["lives"])


def test_what_was_missed_is_said(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that the ring has overtaken is told how many events it has not seen."""
    monkeypatch.setitem(audit.ROOM, audit.LIFE, 5)
    reader = Reader(store)
    store.create({}, principal="first")
    assert reader.read().missed == 0
    for number in range(12):
        store.create({}, principal=f"user {number}")

    batch = reader.read()

    assert batch.missed == 7
    assert [each.kind for each in batch.events] == ["missed"] + ["created"] * 5
    assert recent(store, 100).missed == 0


def test_events_of_other_processes_as_they_happen(home: Path) -> None:
    """What another process does is told to whoever follows, one by one; POLL says how soon."""
    store = LmdbStore(Settings(home=home))
    store.create({})
    stop = threading.Event()
    batches = follow(store, newest(store), stop=stop)
    writer = subprocess.Popen([sys.executable, "-c", SIGNS_IN, str(home)], stdin=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    seen = []
    for number in range(20):
        writer.stdin.write(f"user {number}\n")
        writer.stdin.flush()
        seen += [each.principal for each in next(batches).events]
    writer.communicate()
    stop.set()

    assert next(batches, None) is None
    assert seen == [f"user {number}" for number in range(20)]
    assert POLL <= 0.1
    store.close()


def test_who_follows_sleeps_between_two_looks(store: LmdbStore) -> None:
    """Nothing to tell costs one look at each ring, and then a pause."""

    class Stop(threading.Event):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            assert timeout == POLL
            if self.waits == 10:
                self.set()
            return self.is_set()

    stop = Stop()

    assert list(follow(store, stop=stop)) == []
    assert stop.waits == 10
