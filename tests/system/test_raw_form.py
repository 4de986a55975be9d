"""The wire as the owner has it: messages by hand, and whose answer one gets."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest

from coatcheck import FlashMessage, Set
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.messages import (
    AddFlash,
    CleanupExpired,
    CreateSession,
    DeleteSession,
    FindManager,
    InspectActor,
    LoadSession,
    Reply,
    Request,
    SaveSession,
    SessionAbsent,
    SessionCreated,
    SessionDeleted,
    SessionLoaded,
    SessionSaved,
    SessionsCleaned,
    TakeFlashes,
    TouchSession,
)
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from tests.system.running import RunningSystem, until


def test_the_owners_raw_form_works(joined: Any) -> None:
    """``system.ask`` and ``system.tell`` with messages, as the seed had them."""
    system, manager = joined
    created = system.ask(manager, CreateSession(data={"a": 1}), 5.0)
    assert isinstance(created, SessionCreated)
    token = created.token

    loaded = system.ask(manager, LoadSession(token=token), 5.0)
    assert isinstance(loaded, SessionLoaded)
    assert loaded.record.data == {"a": 1}

    system.tell(manager, AddFlash(token=token, flash=FlashMessage.info("x")))
    assert list(system.ask(manager, TakeFlashes(token=token), 5.0).flashes) == [FlashMessage.info("x")]

    system.tell(manager, SaveSession(token=token, changes=[Set("b", 2)]))
    saved = system.ask(manager, SaveSession(token=token, changes=[Set("c", 3)], confirm=True), 5.0)
    assert isinstance(saved, SessionSaved)
    assert saved.record.data == {"a": 1, "b": 2, "c": 3}

    assert system.ask(manager, DeleteSession(token=token, confirm=True), 5.0).existed is True
    assert system.ask(manager, LoadSession(token=token), 5.0).reason == "deleted"


def test_what_is_told_stays_without_an_answer(joined: Any) -> None:
    """After tells of everything that may be told, nothing arrives but what is asked for."""
    system, manager = joined
    before = system._systemBase.strays  # joining may have asked twice
    token = system.ask(manager, CreateSession(), 20.0).token
    told: list[Request] = [
        SaveSession(token=token, changes=[Set("a", 1)]),
        TouchSession(token=token),
        AddFlash(token=token, flash=FlashMessage.info("x")),
        CleanupExpired(),
        DeleteSession(token=token),
        DeleteSession(token="forged"),
        SaveSession(token="forged"),
    ]
    for each in told:
        system.tell(manager, each)

    # A write may have to wait for its turn, as behind the sweep, and a read does not wait with it. What is asked of
    # each of the manager's queues is answered after all that was told before.
    assert isinstance(system.ask(manager, CleanupExpired(confirm=True), 20.0), SessionsCleaned)
    assert system.ask(manager, DeleteSession(token=token, confirm=True), 20.0).existed is False
    assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionAbsent)
    assert system.listen(0.2) is None
    assert system._systemBase.strays == before


def test_reading_does_not_wait_for_what_was_told(joined: Any, running: RunningSystem) -> None:
    """Behind another writer it is not done yet; whoever wants to see it done asks for a write, which waits too."""
    system, manager = joined
    token = system.ask(manager, CreateSession(), 20.0).token
    gate = WriterGate(running.home / WRITER)
    until(gate.enter, "the gate does not open")
    try:
        system.tell(manager, DeleteSession(token=token))
        assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionLoaded)
    finally:
        gate.leave()
        gate.close()

    assert isinstance(system.ask(manager, DeleteSession(token=token, confirm=True), 20.0), SessionDeleted)
    assert isinstance(system.ask(manager, LoadSession(token=token), 20.0), SessionAbsent)


def test_a_private_endpoint_serves_a_thread(joined: Any) -> None:
    """Threads with endpoints of their own, and threads that share one, each get their own answers."""
    system, manager = joined
    tokens = [system.ask(manager, CreateSession(data={"n": number}), 5.0).token for number in range(6)]
    wrong: list[Any] = []

    def own(number: int) -> None:
        with system.private() as endpoint:
            for _ in range(20):
                check(endpoint.ask(manager, LoadSession(token=tokens[number]), 10.0), number)

    def shared(number: int) -> None:
        for _ in range(20):
            check(system.ask(manager, LoadSession(token=tokens[number]), 10.0), number)

    def check(reply: Any, number: int) -> None:
        if not isinstance(reply, SessionLoaded) or reply.record.data != {"n": number}:
            wrong.append(reply)

    threads = [threading.Thread(target=own if number % 2 else shared, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert wrong == []


def test_a_late_answer_is_never_the_next_ones(joined: Any, running: RunningSystem) -> None:
    """Asks that time out while the manager is stopped leave answers behind; nobody gets one of them."""
    system, manager = joined
    one = system.ask(manager, CreateSession(data={"n": 1}), 5.0).token
    two = system.ask(manager, CreateSession(data={"n": 2}), 5.0).token
    pid = system.ask(manager, InspectActor(), 5.0).pid

    os.kill(pid, 19)
    try:
        for _ in range(3):
            patient = LoadSession(token=one, deadline=time.monotonic() + 60)  # than whoever asks
            assert system.ask(manager, patient, 0.05) is None
    finally:
        os.kill(pid, 18)
    answers = [system.ask(manager, LoadSession(token=two), 10.0) for _ in range(5)]

    assert [each.record.data["n"] for each in answers] == [2] * 5
    assert system._systemBase.strays == 3


def test_a_request_past_its_deadline_is_not_carried_out(joined: Any) -> None:
    """What nobody waits for any more is not done, and not answered."""
    system, manager = joined
    token = system.ask(manager, CreateSession(), 5.0).token
    late = SaveSession(token=token, changes=[Set("late", 1)], confirm=True, deadline=time.monotonic() - 0.001)

    assert system.ask(manager, late, 0.2) is None
    assert "late" not in system.ask(manager, LoadSession(token=token), 5.0).record.data


def test_an_unknown_message_is_answered(joined: Any) -> None:
    """Who asks an actor for something that it does not do is told so at once."""
    system, manager = joined

    reply = system.ask(manager, FindManager(), 5.0)
    assert reply.kind == "Unrecognized"
    assert "SessionManager" in reply.text
    assert system.ask(manager, "hello", 5.0).kind == "Unrecognized"
    assert system.ask(manager, InspectActor(), 5.0).unrecognized >= 2


def test_an_answer_is_never_answered(joined: Any) -> None:
    """Two actors that do not understand each other do not go on for ever."""
    system, manager = joined
    before = system.ask(manager, InspectActor(), 5.0)
    system.tell(manager, SessionDeleted(request_id=b"i" * 16, existed=True))

    assert system.listen(0.1) is None
    after = system.ask(manager, InspectActor(), 5.0)
    assert (after.unrecognized, after.failed) == (before.unrecognized, before.failed)
    assert system._systemBase.strays == 0


def test_telling_somebody_who_is_gone_is_an_error_and_soon(joined: Any) -> None:
    """As shipped, a tell to a dead address returns as if all were well, up to 35 seconds later."""
    system, manager = joined
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        from coatcheck.system.wire import address_of

        nobody = address_of(f"127.0.0.1:{free.getsockname()[1]}")
    begin = time.monotonic()

    with pytest.raises(StoreUnavailable):
        system.tell(nobody, AddFlash(token="t", flash=FlashMessage.info("x")))
    assert system.ask(nobody, LoadSession(token="t"), 5.0) is None
    assert time.monotonic() - begin < 2.0
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), Reply)


def test_a_system_of_before_the_fork_is_refused_in_the_child(joined: Any) -> None:
    """The child would listen where its parent does, and each would get the other's answers."""
    system, manager = joined
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - in the child
        try:
            system.ask(manager, LoadSession(token="t"), 1.0)
            os.write(writing, b"answered")
        except ConfigurationError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()

    assert "join again in the child" in said
    assert isinstance(system.ask(manager, LoadSession(token="t"), 5.0), SessionAbsent)


def test_what_nobody_waits_for_any_more_is_not_done(joined: Any, running: RunningSystem) -> None:
    """An ask that has timed out takes no flashes: nobody would ever see them."""
    system, manager = joined
    token = system.ask(manager, CreateSession(flashes=[FlashMessage.info("x")]), 20.0).token
    gate = WriterGate(running.home / WRITER)
    until(gate.enter, "no turn")
    try:
        assert system.ask(manager, TakeFlashes(token=token), 0.2) is None
    finally:
        gate.leave()
        gate.close()

    assert list(system.ask(manager, TakeFlashes(token=token), 20.0).flashes) == [FlashMessage.info("x")]
