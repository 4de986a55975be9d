"""The sender: what is told without waiting, and what becomes of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck import FlashMessage, Increment, Set
from coatcheck.client import sender as room
from coatcheck.client.actor_lane import ActorStore
from coatcheck.client.sender import Sender
from coatcheck.errors import (
    CoatcheckError,
    ConfigurationError,
    RequestTimeout,
    SessionMissing,
    StoreFull,
    StoreUnavailable,
    UnstorableValue,
)
from coatcheck.messages import AddFlash, DeleteSession, LoadSession, Reply, Request, SaveSession, TouchSession
from coatcheck.messages.sessions import SessionTouched
from coatcheck.settings import Settings
from coatcheck.system.failures import reply_of
from tests.support.processes import ROOT
from tests.system.running import RunningSystem, until

LOG = logging.getLogger("coatcheck.client")


class Answered:
    """An error that is not raised by the line, but answered by the manager."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Manager:
    """The other end of a line: it answers with what the test says, one request after the other."""

    def __init__(self, *answers: Any) -> None:
        """``answers``: errors to raise, or to answer with; when they are used up, all is well."""
        self.answers = list(answers)
        self.heard: list[Request] = []
        self.open = threading.Event()
        self.open.set()

    def call(self, request: Request, deadline: float, *, repeatable: bool) -> Reply:
        """See ``Line``."""
        assert repeatable
        assert deadline == request.deadline
        self.open.wait(30)
        self.heard.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Answered):
            return reply_of(answer.error, request.request_id)
        if isinstance(answer, StoreUnavailable):
            raise answer
        if answer is not None:
            return reply_of(answer, request.request_id)
        record: Any = None
        return SessionTouched(request_id=request.request_id, record=record)

    def close(self) -> None:
        """Nothing is open."""


def touches(count: int) -> list[TouchSession]:
    """So many messages."""
    return [TouchSession(token=f"t{number}") for number in range(count)]


def test_telling_does_not_wait() -> None:
    """While the manager is busy everything that is told is taken at once, and carried out later, in order."""
    manager = Manager()
    manager.open.clear()
    sender = Sender(manager, LOG)
    messages = touches(20)
    assert all(sender.tell(each) for each in messages)
    assert not sender.flush(0.05)
    assert manager.heard == []

    manager.open.set()

    assert sender.flush(10)
    assert [each.request_id for each in manager.heard] == [each.request_id for each in messages]
    assert sender.counters == {"sent": 20}
    sender.close()


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit a message is dropped, counted, and one line says so; when there is room, it goes on."""
    monkeypatch.setattr(room, "MOST_WAITING", 5)
    manager = Manager()
    manager.open.clear()
    sender = Sender(manager, LOG)

    taken = [sender.tell(each) for each in touches(8)]

    assert taken == [True] * 5 + [False] * 3
    manager.open.set()
    assert sender.flush(10)
    assert sender.tell(touches(1)[0])
    assert sender.flush(10)
    assert sender.counters == {"sent": 6, "dropped": 3}
    assert sum("further ones are dropped" in each.message for each in caplog.records) == 1
    sender.close()


def test_nobody_there_is_tried_again() -> None:
    """An outage shorter than the deadline costs nothing."""
    manager = Manager(StoreUnavailable("nobody"), StoreUnavailable("nobody"))
    sender = Sender(manager, LOG)
    sender.tell(touches(1)[0])

    assert sender.flush(10)
    assert sender.counters == {"sent": 1}
    assert len({each.request_id for each in manager.heard}) == 1
    sender.close()


def test_a_deadline_ends_it() -> None:
    """What nobody is there for within its deadline is given up and counted, and the next one is sent."""
    manager = Manager(StoreUnavailable("nobody"))
    sender = Sender(manager, LOG)
    sender.tell(TouchSession(token="t", deadline=time.monotonic() + 0.001))
    sender.tell(TouchSession(token="u"))

    assert sender.flush(10)
    assert sender.counters == {"expired": 1, "sent": 1}
    sender.close()


def test_what_may_have_been_done_is_not_sent_again() -> None:
    """Much later the manager might not know it again, and it would count twice."""
    manager = Manager(RequestTimeout("no answer", timeout=1.0))
    sender = Sender(manager, LOG)
    sender.tell(touches(1)[0])

    assert sender.flush(10)
    assert sender.counters == {"unanswered": 1}
    assert len(manager.heard) == 1
    sender.close()


def test_a_refusal_is_counted_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A session that has ended is nothing to worry about; no token gets into the log."""
    caplog.set_level(logging.DEBUG)
    sender = Sender(Manager(SessionMissing("expired"), ValueError("wrong"), KeyError("t0")), LOG)
    for each in (*touches(2), SaveSession(token="secret-token", changes=[Set("k", "secret-value")])):
        sender.tell(each)

    assert sender.flush(10)
    assert sender.counters == {"refused": 3}
    assert "secret" not in caplog.text
    sender.close()


def test_a_store_that_cannot_be_asked_is_tried_again() -> None:
    """A manager behind a writer that stands still says so: that is an outage, and costs nothing while it is short."""
    manager = Manager(Answered(StoreUnavailable("no turn to write")), Answered(StoreUnavailable("no turn to write")))
    sender = Sender(manager, LOG)
    sender.tell(touches(1)[0])

    assert sender.flush(10)
    assert sender.counters == {"sent": 1}
    assert len({each.request_id for each in manager.heard}) == 1
    sender.close()


@pytest.mark.parametrize("error", [StoreFull("no room"), ConfigurationError("a key is missing")])
def test_what_is_lost_is_said(error: CoatcheckError, caplog: pytest.LogCaptureFixture) -> None:
    """Only a session that has ended is nothing to worry about; any other refusal is a write that was lost."""
    sender = Sender(Manager(Answered(error)), LOG)
    sender.tell(touches(1)[0])

    assert sender.flush(10)
    assert sender.counters == {"refused": 1}
    assert [(each.levelname, str(error) in each.message) for each in caplog.records] == [("WARNING", True)]
    sender.close()


def test_what_was_told_is_what_is_sent() -> None:
    """The application goes on with its values: what it does to them later, in the next request perhaps, is not told."""
    manager = Manager()
    manager.open.clear()
    sender = Sender(manager, LOG)
    cart = [1]
    sender.tell(SaveSession(token="t", changes=[Set("cart", cart)]))
    cart.append(2)

    manager.open.set()

    assert sender.flush(10)
    saved: Any = manager.heard[0]
    assert [each.value for each in saved.changes] == [[1]]
    sender.close()


def test_what_cannot_be_kept_is_refused_at_once() -> None:
    """Whoever tells it learns so; nothing waits, and nothing is lost without a word."""
    sender = Sender(Manager(), LOG)

    with pytest.raises(UnstorableValue, match="cart"):
        sender.tell(SaveSession(token="t", changes=[Set("cart", object())]))

    assert sender.flush(0)
    assert not sender.counters


def test_an_exception_in_the_middle_of_telling_keeps_nothing_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may raise while the thread is started: the next message starts it."""

    class Interrupted(BaseException):
        pass

    def interrupted(_: threading.Thread) -> None:
        raise Interrupted

    sender = Sender(Manager(), LOG)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Interrupted):
            sender.tell(touches(1)[0])
    assert sender._starting.taken == 0

    sender.tell(touches(1)[0])

    assert sender.flush(10)
    assert sender.counters == {"sent": 2}
    sender.close()


def test_what_nobody_foresaw_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """An error may quote what was told; class and place are enough, and the next message is sent."""

    class Broken(Manager):
        def call(self, request: Request, deadline: float, *, repeatable: bool) -> Reply:
            reply = super().call(request, deadline, repeatable=repeatable)
            if len(self.heard) == 1:
                msg = "the-secret-token"
                raise KeyError(msg)
            return reply

    sender = Sender(Broken(), LOG)
    for each in touches(2):
        sender.tell(each)

    assert sender.flush(10)
    assert sender.counters == {"refused": 1, "sent": 1}
    assert "KeyError at " in caplog.text
    assert "the-secret-token" not in caplog.text
    sender.close()


def test_a_closed_sender_begins_again() -> None:
    """Closing sends what waits and lets the thread go; the next message starts another."""
    manager = Manager()
    sender = Sender(manager, LOG)
    for number in range(5):
        sender.tell(touches(1)[0])
        sender.close()
        until(lambda: sender._thread is None, "the thread goes on")
        assert len(manager.heard) == number + 1


def test_a_child_sends_its_own_only() -> None:
    """What waits at a fork is the parent's to send, once; the child can tell at once."""
    manager = Manager()
    manager.open.clear()
    sender = Sender(manager, LOG)
    sender.tell(touches(1)[0])
    pid = os.fork()
    if not pid:
        code = 1
        try:
            manager.open.set()
            sender.tell(TouchSession(token="child"))
            sender.flush(10)
            code = 0 if [each.token for each in manager.heard] == ["child"] else 2  # type: ignore[attr-defined]
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    manager.open.set()
    assert sender.flush(10)
    assert sender.counters == {"sent": 1}
    sender.close()


# Through a running system -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """One system for these tests."""
    with RunningSystem(tmp_path_factory.mktemp("sender") / "state") as system:
        yield system


@pytest.fixture
def store(running: RunningSystem) -> Iterator[ActorStore]:
    """A store over it."""
    store = ActorStore(Settings(home=running.home))
    yield store
    store.close()


def test_what_is_told_is_done(store: ActorStore) -> None:
    """In order, and all of it, once."""
    token, _ = store.create({})
    for number in range(50):
        store.tell(SaveSession(token=token, changes=[Increment("n"), Set("last", number)]))
    store.tell(AddFlash(token=token, flash=FlashMessage.info("hi")))

    assert store.sender.flush(30)
    record = store.load(token)
    assert record is not None
    assert record.data == {"n": 50, "last": 49}
    assert [each.message for each in record.flashes] == ["hi"]
    assert store.sender.counters == {"sent": 51}


def test_what_has_an_answer_is_not_told(store: ActorStore) -> None:
    """The remedy is in the error."""
    request: Any = LoadSession(token="t")
    with pytest.raises(TypeError, match="LoadSession is not told but asked"):
        store.tell(request)


def test_no_system_does_not_hold_up_whoever_tells(home: Path) -> None:
    """Thirty-five seconds it takes as shipped; here nothing, and when the system comes, it is done."""
    with RunningSystem(home):
        store = ActorStore(Settings(home=home))
        token, _ = store.create({})
        store._line.close()
    begin = time.monotonic()
    assert store.tell(SaveSession(token=token, changes=[Set("a", 1)]))
    assert time.monotonic() - begin < 0.5

    with RunningSystem(home):
        assert store.sender.flush(30)
        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 1}
        store.close()


def test_a_touch_does_not_wait_for_its_answer(running: RunningSystem) -> None:
    """A request that only reads asks the manager once."""
    client = coatcheck.connect(running.home, lane="actor")
    assert isinstance(client.store, ActorStore)
    token, _ = client.create({"a": 1})
    client.touch_soon(token)

    assert client.store.sender.flush(30)
    assert client.store.sender.counters == {"sent": 1}
    client.close()


PROGRAM = """
import sys
from coatcheck.client.actor_lane import ActorStore
from coatcheck.messages import DeleteSession
from coatcheck.settings import Settings
store = ActorStore(Settings.load(sys.argv[1]))
store.tell(DeleteSession(token=sys.argv[2]))
"""


def test_the_end_of_a_program_waits_for_what_it_told(store: ActorStore, running: RunningSystem) -> None:
    """A script that tells and ends has told."""
    token, _ = store.create({})
    arguments = [sys.executable, "-c", PROGRAM, str(running.home), token]

    subprocess.run(arguments, cwd=ROOT, check=True, timeout=60)

    assert store.find(token).reason == "deleted"
    assert DeleteSession(token=token).confirm is False


def test_the_end_of_a_program_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on there can be none while the interpreter ends: what is told then is sent all the same."""

    def refused(_: threading.Thread) -> None:
        msg = "can't create new thread at interpreter shutdown"
        raise RuntimeError(msg)

    monkeypatch.setattr(threading.Thread, "start", refused)
    manager = Manager()
    sender = Sender(manager, LOG)

    assert sender.tell(touches(1)[0])
    sender.close()

    assert sender.counters == {"sent": 1}


TO_NOBODY = """
import sys
from coatcheck.client.actor_lane import ActorStore
from coatcheck.messages import DeleteSession
from coatcheck.settings import Settings
stores = [ActorStore(Settings.load(sys.argv[1])) for _ in range(4)]
for each in stores:
    each.tell(DeleteSession(token="t"))
"""


def test_the_end_of_a_program_waits_for_all_clients_together(home: Path) -> None:
    """Two seconds it may take, and not two for each client of a program whose system does not run."""
    begin = time.monotonic()

    subprocess.run([sys.executable, "-c", TO_NOBODY, str(home)], cwd=ROOT, check=True, timeout=60)

    assert time.monotonic() - begin < 6
