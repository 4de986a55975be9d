"""The desk: what is done with any request."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

import coatcheck
from coatcheck.actors.desk import Desk, Later
from coatcheck.errors import SessionConflict, SessionMissing, StoreFull
from coatcheck.messages import (
    ActorReport,
    DeleteSession,
    FindManager,
    InspectActor,
    LoadSession,
    Reply,
    RequestFailed,
    SaveConflicted,
    SessionAbsent,
    SessionDeleted,
)
from coatcheck.system.frames import bad_frames


def deleted(request: DeleteSession) -> Reply:
    """A handler that goes well."""
    return SessionDeleted(request_id=request.request_id, existed=True)


def raising(error: Exception) -> Any:
    """A handler that does not."""

    def handler(_: Any) -> Reply:
        raise error

    return handler


def test_a_request_is_answered_under_its_id() -> None:
    """The reply repeats the id of the request."""
    request = DeleteSession(token="t", confirm=True)

    assert Desk("A", {DeleteSession: deleted}).take(request) == SessionDeleted(
        request_id=request.request_id, existed=True
    )


def test_a_quiet_request_is_carried_out_without_an_answer() -> None:
    """Without ``confirm`` there is no reply, neither when it goes well nor when it fails."""
    desk = Desk("A", {DeleteSession: deleted})
    assert desk.take(DeleteSession(token="t")) is None
    assert desk.handled["DeleteSession"] == 1

    failing = Desk("A", {DeleteSession: raising(StoreFull("full"))})
    assert failing.take(DeleteSession(token="t")) is None
    assert failing.failed["StoreFull"] == 1


def test_past_its_deadline_nothing_is_done() -> None:
    """Work that nobody waits for is refused, and counted."""
    done: list[Any] = []
    desk = Desk("A", {DeleteSession: done.append})

    assert desk.take(DeleteSession(token="t", confirm=True, deadline=time.monotonic() - 0.001)) is None
    assert done == []
    assert desk.late == 1
    assert desk.handled["DeleteSession"] == 0
    desk.take(DeleteSession(token="t", confirm=True, deadline=time.monotonic() + 60))
    assert len(done) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SessionMissing("revoked"), SessionAbsent),
        (SessionConflict(1, 2), SaveConflicted),
        (StoreFull("full"), RequestFailed),
        (TypeError("wrong"), RequestFailed),
        (ZeroDivisionError("the user's data"), RequestFailed),
    ],
)
def test_whatever_a_handler_raises_is_an_answer(error: Exception, kind: type[Reply]) -> None:
    """Nothing gets out: Thespian would run the handler a second time."""
    request = LoadSession(token="t")
    reply = Desk("A", {LoadSession: raising(error)}).take(request)

    assert isinstance(reply, kind)
    assert reply.request_id == request.request_id


def test_only_mistakes_are_remembered_by_place() -> None:
    """The last error is class and place, of what nobody foresaw only; the text may be somebody's data."""
    desk = Desk("A", {LoadSession: raising(StoreFull("full")), FindManager: raising(KeyError("the user's data"))})
    desk.take(LoadSession(token="t"))
    assert desk.last_error is None

    desk.take(FindManager())
    assert desk.last_error is not None
    assert desk.last_error.startswith("KeyError at test_desk.py:")
    assert dict(desk.failed) == {"StoreFull": 1, "KeyError": 1}


def test_what_it_does_not_know_is_answered_and_counted() -> None:
    """A request without a handler names the actor, the version, and what it does not know."""
    desk = Desk("Porter", {})
    reply = desk.take(LoadSession(token="t"))

    assert isinstance(reply, RequestFailed)
    assert reply.kind == "Unrecognized"
    assert reply.text == f"Porter of coatcheck {coatcheck.__version__} does not know LoadSession"
    assert desk.unrecognized["LoadSession"] == 1


def test_the_report_tells_how_it_is() -> None:
    """Counters, process, uptime; nothing that a message held."""
    desk = Desk("Porter", {DeleteSession: deleted})
    desk.details = lambda: {"queue": 3}
    desk.take(DeleteSession(token="t"))
    desk.take(LoadSession(token="t"))
    report = desk.take(InspectActor())

    assert isinstance(report, ActorReport)
    assert (report.actor, report.pid, report.parent_pid) == ("Porter", os.getpid(), os.getppid())
    assert report.handled == {"DeleteSession": 1, "InspectActor": 1}
    assert report.unrecognized == 1
    assert report.details == {"queue": 3, "dropped_frames": bad_frames.total}
    assert 0 <= report.uptime < 60
    assert abs(report.started_at - time.time_ns() // 1000) < 60_000_000


def test_deferred_work_has_the_same_rules() -> None:
    """What is done later is refused past its deadline, and what it raises is an answer too."""
    desk = Desk("A", {})
    request = DeleteSession(token="t", confirm=True, deadline=time.monotonic() + 60)
    error = StoreFull("full")

    assert desk.resume(request, Later("q", lambda: deleted(request))) == deleted(request)
    assert desk.resume(request, Later("q", lambda: raising(error)(request))) is error
    late = DeleteSession(token="t", confirm=True, deadline=time.monotonic() - 1)
    assert desk.resume(late, Later("q", lambda: deleted(late))) is None
    assert desk.answer(late, None) is None
    assert isinstance(desk.answer(request, error), RequestFailed)
