"""The verbs as handlers: where each is carried out."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coatcheck import FlashMessage, Lifetimes, Set
from coatcheck.actors.desk import Desk, Later
from coatcheck.actors.verbs import LONG, WRITES, Verbs
from coatcheck.errors import StoreUnavailable
from coatcheck.messages import (
    BackupStore,
    CheckStore,
    CompactStore,
    CreateSession,
    LoadSession,
    LoginSession,
    RequestFailed,
    RevokeSessions,
    SaveSession,
    ScanSessions,
    SessionAbsent,
    SessionCreated,
    SessionLoaded,
    SessionRotated,
    SessionSaved,
    SessionsScanned,
    StoreCompacted,
    TakeFlashes,
)
from coatcheck.settings import Settings
from coatcheck.store.gate import WriterGate


@pytest.fixture
def verbs(home: Path) -> Iterator[Verbs]:
    """The handlers of a manager with an open store."""
    verbs = Verbs(Settings(home=home, gate_timeout=0.2))
    verbs.open()
    yield verbs
    verbs.close()


@pytest.fixture
def desk(verbs: Verbs) -> Desk:
    """Its desk."""
    return Desk("SessionManager", verbs.handlers)


@contextmanager
def another_writer(home: Path) -> Iterator[None]:
    """Somebody else is in the writer gate, and stays there."""
    descriptor = os.open(home / "writer", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def created(desk: Desk, **given: Any) -> str:
    """The token of a new session."""
    reply = desk.take(CreateSession(**given))
    assert isinstance(reply, SessionCreated)
    return reply.token


def test_a_stopped_writer_keeps_nobody_from_reading(desk: Desk, home: Path) -> None:
    """Behind a writer that takes its time a write goes to a thread; loads are answered at once."""
    token = created(desk, data={"a": 1})
    save = SaveSession(token=token, changes=[Set("a", 2)], confirm=True)
    with another_writer(home):
        waiting = desk.take(save)
        assert isinstance(waiting, Later)
        assert waiting.queue == WRITES
        loaded = desk.take(LoadSession(token=token))
        assert isinstance(loaded, SessionLoaded)
        assert loaded.record.data == {"a": 1}
        # The thread's own turn does not come either: the answer names the trouble.
        outcome = desk.resume(save, waiting)
        assert isinstance(outcome, StoreUnavailable)

    outcome = desk.resume(save, waiting)
    assert isinstance(outcome, SessionSaved)


def test_waiting_in_the_queue_is_waiting_too(desk: Desk, home: Path) -> None:
    """Many writes behind one stopped writer: each is told who it is within one timeout, not after all before it."""
    token = created(desk)
    saves = [SaveSession(token=token, changes=[Set("n", number)], confirm=True) for number in range(5)]
    gate = WriterGate(home / "writer")
    assert gate.enter()
    waiting = [desk.take(each) for each in saves]
    begin = time.monotonic()
    outcomes = [
        desk.resume(save, later) for save, later in zip(saves, waiting, strict=True) if isinstance(later, Later)
    ]

    assert time.monotonic() - begin < 2 * 0.2
    assert [type(each) for each in outcomes] == [StoreUnavailable] * 5
    assert {each.holder_pid for each in outcomes if isinstance(each, StoreUnavailable)} == {os.getpid()}
    gate.leave()
    # Whoever has only just come is patient again.
    late = desk.take(saves[0])
    assert isinstance(late, SessionSaved)
    gate.close()


def test_a_turn_is_waited_for_until_the_deadline_only(home: Path) -> None:
    """A take that got its turn when nobody waits any more would lose the flashes: it is not carried out."""
    verbs = Verbs(Settings(home=home, gate_timeout=60.0))
    verbs.open()
    desk = Desk("SessionManager", verbs.handlers)
    token = created(desk, flashes=(FlashMessage.info("x"),))
    with another_writer(home):
        begin = time.monotonic()
        request = TakeFlashes(token=token, deadline=begin + 0.1)
        waiting = desk.take(request)
        assert isinstance(waiting, Later)
        assert desk.answer(request, desk.resume(request, waiting)) is None
        assert 0.1 <= time.monotonic() - begin < 30.0
    assert desk.late == 1
    assert verbs.store.take_flashes(token)[1] == [FlashMessage.info("x")]
    verbs.close()


def test_a_turn_that_comes_before_the_deadline_is_taken(home: Path) -> None:
    """A deadline sooner than the timeout of the gate is no reason to give up at once."""
    verbs = Verbs(Settings(home=home, gate_timeout=60.0))
    verbs.open()
    desk = Desk("SessionManager", verbs.handlers)
    token = created(desk)
    outcomes: list[Any] = []
    with another_writer(home):
        request = SaveSession(token=token, changes=[Set("a", 1)], confirm=True, deadline=time.monotonic() + 30)
        waiting = desk.take(request)
        assert isinstance(waiting, Later)
        later = waiting
        thread = threading.Thread(target=lambda: outcomes.append(desk.resume(request, later)))
        thread.start()
    thread.join()

    assert isinstance(outcomes[0], SessionSaved)
    verbs.close()


def test_writes_keep_their_order(desk: Desk, verbs: Verbs) -> None:
    """As long as one write waits in the queue, those after it go there too, although their turn would come at once."""
    token = created(desk)
    verbs.queued = {WRITES: 1}.__getitem__

    assert isinstance(desk.take(SaveSession(token=token, confirm=True)), Later)
    assert isinstance(desk.take(LoadSession(token=token)), SessionLoaded)
    verbs.queued = {WRITES: 0}.__getitem__
    assert isinstance(desk.take(SaveSession(token=token, confirm=True)), SessionSaved)


def test_before_the_store_is_open_everything_waits(home: Path) -> None:
    """Opening may take long, when somebody is alone on the store: the actor does not do it itself."""
    verbs = Verbs(Settings(home=home))
    desk = Desk("SessionManager", verbs.handlers)
    request = LoadSession(token="t")
    waiting = desk.take(request)

    assert isinstance(waiting, Later)
    outcome = desk.resume(request, waiting)
    assert isinstance(outcome, SessionAbsent)
    assert verbs.ready
    assert isinstance(desk.take(request), SessionAbsent)
    verbs.close()
    assert isinstance(desk.take(request), Later)
    verbs.close()


def test_with_a_sync_for_each_commit_writes_are_for_a_thread(home: Path) -> None:
    """An fsync takes a tenth of a second and more; no other request waits for it."""
    verbs = Verbs(Settings(home=home, durability="commit"))
    verbs.open()
    desk = Desk("SessionManager", verbs.handlers)

    assert isinstance(desk.take(CreateSession()), Later)
    assert isinstance(desk.take(LoadSession(token="t")), SessionAbsent)
    verbs.close()


@pytest.mark.parametrize("request_", [CheckStore(), BackupStore(target="/nowhere"), CompactStore()])
def test_what_takes_long_is_for_a_thread(desk: Desk, request_: Any) -> None:
    """Check, backup and compaction have a queue of their own."""
    waiting = desk.take(request_)

    assert isinstance(waiting, Later)
    assert waiting.queue == LONG


def test_during_a_compaction_nobody_waits_in_the_actor(desk: Desk, verbs: Verbs, monkeypatch: Any) -> None:
    """While the store is closed for everybody, requests go to the thread that may wait; afterwards they do not."""
    token = created(desk)
    during: list[Any] = []

    def compact() -> tuple[int, int]:
        during.append(desk.take(LoadSession(token=token)))
        return 2, 1

    monkeypatch.setattr(verbs.store, "compact", compact)
    request = CompactStore()
    waiting = desk.take(request)
    assert isinstance(waiting, Later)

    assert desk.resume(request, waiting) == StoreCompacted(request_id=request.request_id, before=2, after=1)
    assert isinstance(during[0], Later)
    assert isinstance(desk.take(LoadSession(token=token)), SessionLoaded)


def test_default_lifetimes_are_the_senders(desk: Desk) -> None:
    """Each client has its own defaults; a session that was given lifetimes keeps them at a login, others do not."""
    mine = Lifetimes(idle=111.0, absolute=222.0)
    theirs = Lifetimes(idle=333.0, absolute=444.0)
    plain = desk.take(CreateSession(default_lifetimes=mine))
    chosen = desk.take(CreateSession(default_lifetimes=mine, lifetimes=theirs))
    assert isinstance(plain, SessionCreated)
    assert isinstance(chosen, SessionCreated)
    assert plain.record.lifetimes == mine
    assert chosen.record.lifetimes == theirs

    signed_in = Lifetimes(idle=555.0, absolute=666.0)
    for token, expected in ((plain.token, signed_in), (chosen.token, theirs)):
        rotated = desk.take(LoginSession(token=token, principal="u", default_lifetimes=signed_in))
        assert isinstance(rotated, SessionRotated)
        assert rotated.record.lifetimes == expected


def test_a_page_has_a_limit(desk: Desk) -> None:
    """However many are asked for, one answer does not hold the actor for long."""
    for _ in range(3):
        created(desk)
    page = desk.take(ScanSessions(limit=10**9))

    assert isinstance(page, SessionsScanned)
    assert len(page.sessions) == 3
    page = desk.take(ScanSessions(after=page.sessions[0].sid, limit=1))
    assert isinstance(page, SessionsScanned)
    assert len(page.sessions) == 1


@pytest.mark.parametrize(
    "request_", [RevokeSessions(confirm=True), RevokeSessions(principal="u", sid="00", confirm=True)]
)
def test_a_revoke_says_which(desk: Desk, request_: Any) -> None:
    """Neither and both are refused, rather than guessed."""
    reply = desk.take(request_)

    assert isinstance(reply, RequestFailed)
    assert reply.kind == "ValueError"


def test_a_relative_backup_is_refused(desk: Desk) -> None:
    """The manager works in another directory than whoever asks."""
    request = BackupStore(target="backup")
    waiting = desk.take(request)
    assert isinstance(waiting, Later)

    outcome = desk.resume(request, waiting)
    assert isinstance(outcome, ValueError)
    assert "absolute path" in str(outcome)
