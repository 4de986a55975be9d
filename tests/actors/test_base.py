"""What every actor has in common, driven as Thespian drives it, without any process."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from thespian.actors import ActorExitRequest, PoisonMessage, WakeupMessage

from coatcheck.actors.base import BaseActor
from coatcheck.actors.desk import Desk, Later
from coatcheck.messages import (
    DeleteSession,
    InspectActor,
    LoadSession,
    Reply,
    RequestFailed,
    SessionDeleted,
    TakeFlashes,
)
from tests.system.running import until


class Porter(BaseActor):
    """An actor for tests: it notes what happens to it, and fails when it is told to."""

    myAddress = "here"  # noqa: N815 - Thespian's name

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Any, Any]] = []
        self.timers: list[tuple[float, Any]] = []
        self.events: list[str] = []
        self.fails: set[str] = set()
        self.released = threading.Event()

    def send(self, target: Any, message: Any) -> None:
        """Instead of Thespian's."""
        self.sent.append((target, message))

    def wakeupAfter(self, period: Any, payload: Any = None) -> None:  # noqa: N802
        """Instead of Thespian's."""
        self.timers.append((period.total_seconds(), payload))

    def _event(self, name: str) -> None:
        self.events.append(name)
        if name in self.fails:
            msg = "the user's data"
            raise RuntimeError(msg)

    def make_desk(self) -> Desk:
        """Deletes at once, loads later."""
        return Desk("Porter", {DeleteSession: self._delete, LoadSession: self._load})

    def _delete(self, request: DeleteSession) -> Reply:
        return SessionDeleted(request_id=request.request_id, existed=True)

    def _load(self, request: LoadSession) -> Later:
        def work() -> Reply:
            self.released.wait(30)
            return SessionDeleted(request_id=request.request_id, existed=False)

        return Later("q", work)

    def begin(self) -> None:
        """Noted."""
        self._event("begin")

    def tick(self) -> float:
        """Noted."""
        self._event("tick")
        return 5.0

    def heard(self, reply: Reply, sender: Any) -> None:
        """Noted."""
        self._event(f"heard {type(reply).__name__}")

    def end(self, *, idle: bool) -> None:
        """Noted."""
        self._event(f"end idle={idle}")

    def fire(self) -> list[tuple[Any, Any]]:
        """The timer that was set last goes off; all that was sent until now."""
        period, payload = self.timers[-1]
        self.receiveMessage(WakeupMessage(period, payload), "here")
        return self.sent


@pytest.fixture
def porter() -> Porter:
    """One that has begun."""
    porter = Porter()
    porter.receiveMessage(InspectActor(), "sender")
    porter.sent.clear()
    return porter


def test_it_begins_with_the_first_message() -> None:
    """Nothing happens in the constructor, where it is no actor yet; then it begins, once, and the timer is set."""
    porter = Porter()
    assert (porter.events, porter.timers) == ([], [])

    porter.receiveMessage(InspectActor(), "sender")
    porter.receiveMessage(InspectActor(), "sender")
    assert porter.events == ["begin"]
    assert porter.timers == [(0.0, 2)]
    assert [type(message).__name__ for _, message in porter.sent] == ["ActorReport"] * 2


def test_one_that_cannot_begin_ends() -> None:
    """So whoever looks after it starts another."""
    porter = Porter()
    porter.fails.add("begin")
    porter.receiveMessage(InspectActor(), "sender")

    assert any(target == "here" and isinstance(message, ActorExitRequest) for target, message in porter.sent)


def test_requests_are_answered_to_who_asked(porter: Porter) -> None:
    """And those that may be told, without an answer."""
    request = DeleteSession(token="t", confirm=True)
    porter.receiveMessage(request, "sender")
    porter.receiveMessage(DeleteSession(token="t"), "sender")

    assert porter.sent == [("sender", SessionDeleted(request_id=request.request_id, existed=True))]


def test_there_is_one_timer(porter: Porter) -> None:
    """Thespian cannot cancel one: those set before the last are ignored when they go off."""
    porter.fire()
    assert porter.events == ["begin", "tick"]
    outdated = porter.timers[-1]
    porter.wake()
    count = len(porter.timers)

    porter.receiveMessage(WakeupMessage(*outdated), "here")
    assert porter.events == ["begin", "tick"]
    assert len(porter.timers) == count
    porter.fire()
    assert porter.events == ["begin", "tick", "tick"]
    assert porter.timers[-1][0] == pytest.approx(5.0, abs=0.1)


def test_a_tick_that_fails_sets_the_timer_once(porter: Porter) -> None:
    """As shipped, a handler that sets a timer and raises is run twice, and doubles the timers each time."""
    porter.fails.add("tick")
    for _ in range(5):
        before = len(porter.timers)
        porter._next_tick = 0.0
        porter.fire()
        assert len(porter.timers) == before + 1
        assert porter.timers[-1][0] == pytest.approx(1.0, abs=0.1)

    assert porter.events.count("tick") == 5
    assert porter.desk.failed["RuntimeError"] == 5


def test_nothing_gets_out(porter: Porter) -> None:
    """Whatever a handler raises, Thespian does not see it; and the report shows class and place, no text."""
    porter.fails.add("heard SessionDeleted")
    porter.receiveMessage(SessionDeleted(existed=True), "sender")

    assert porter.sent == []
    assert porter.desk.last_error is not None
    assert porter.desk.last_error.startswith("RuntimeError at test_base.py:")


def test_what_has_no_handler_is_answered_unless_it_is_thespians(porter: Porter) -> None:
    """Whoever asks is told; system messages, poison and answers are not answered, or it would never end."""
    porter.receiveMessage("hello", "sender")
    request = TakeFlashes(token="t")
    porter.receiveMessage(request, "sender")
    for quiet in (
        PoisonMessage("x", "y"),
        SessionDeleted(existed=True),
        RequestFailed(kind="k", text="t", evidence={}),
    ):
        porter.receiveMessage(quiet, "sender")

    assert [(message.kind, message.request_id) for _, message in porter.sent] == [
        ("Unrecognized", b""),
        ("Unrecognized", request.request_id),
    ]
    assert porter.events[-2:] == ["heard SessionDeleted", "heard RequestFailed"]
    assert dict(porter.desk.unrecognized) == {"str": 1, "TakeFlashes": 1, "PoisonMessage": 1}


def test_later_work_is_answered_by_a_wakeup(porter: Porter) -> None:
    """The timer comes sooner while a thread works, and its result is sent from the actor's own thread."""
    porter.fire()
    request = LoadSession(token="t")
    porter.receiveMessage(request, "sender")
    assert porter.sent == []
    assert porter.timers[-1][0] <= 0.005

    porter.fire()
    assert porter.sent == []
    assert porter.events.count("tick") == 1  # fetching is no round
    porter.released.set()
    until(porter.fire, "no answer")
    assert porter.sent == [("sender", SessionDeleted(request_id=request.request_id, existed=False))]
    assert porter.timers[-1][0] > 1.0


def test_it_ends_with_its_parent(porter: Porter) -> None:
    """A wakeup under another parent than it was started by ends it."""
    porter._parent = -1
    porter.fire()

    assert [type(message) for _, message in porter.sent] == [ActorExitRequest]


def test_an_orphan_does_not_drown_in_its_own_messages(porter: Porter, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells itself once, looks again after a second, and where that is not heard in time it ends all the same."""
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    porter._parent = -1
    for _ in range(3):
        porter.fire()
        assert porter.timers[-1][0] > 0.9
    assert [type(message) for _, message in porter.sent] == [ActorExitRequest]
    assert not codes

    assert porter._alone_since is not None
    porter._alone_since -= 6.0
    porter.fire()
    assert codes == [1]


def test_it_ends_once_and_sets_no_timer_any_more(porter: Porter) -> None:
    """Asked twice to end, as by a signal and by its parent, it does so once."""
    porter.receiveMessage(ActorExitRequest(), "parent")
    porter.receiveMessage(ActorExitRequest(), "parent")
    count = len(porter.timers)
    porter.fire()

    assert porter.events == ["begin", "end idle=True"]
    assert len(porter.timers) == count
