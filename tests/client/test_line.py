"""The line to the manager: what a client sees when things go wrong."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import coatcheck
from coatcheck import Increment, Set
from coatcheck.client.actor_lane import ActorStore
from coatcheck.errors import (
    BadToken,
    ConfigurationError,
    RequestTimeout,
    SessionMissing,
    StoreUnavailable,
    UnstorableValue,
)
from coatcheck.messages import ActorReport, InspectActor
from coatcheck.settings import Settings
from coatcheck.store.gate import WriterGate
from coatcheck.system import join, process
from coatcheck.testing import together
from coatcheck.testing.contract_base import outcome
from tests.support.processes import ROOT
from tests.system.running import RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """One system for all tests of this module; they kill its manager, never the rest."""
    with RunningSystem(tmp_path_factory.mktemp("line") / "state") as system:
        yield system


@pytest.fixture
def store(running: RunningSystem) -> Iterator[ActorStore]:
    """A store over it that does not wait long."""
    store = ActorStore(Settings(home=running.home, ask_timeout=10.0, pool_size=4))
    yield store
    store.close()


def report_of(running: RunningSystem) -> ActorReport:
    """What the manager says of itself: the one that is there when it is asked."""

    def ask() -> ActorReport | None:
        system, manager = join(running.home, timeout=20.0)
        try:
            reply = system.ask(manager, InspectActor(), 10.0)
        finally:
            system.shutdown()
        return reply if isinstance(reply, ActorReport) else None

    report: ActorReport = until(ask, "no manager answers")
    return report


def manager_of(running: RunningSystem) -> int:
    """The process of the manager."""
    return report_of(running).pid


def in_use(store: ActorStore) -> int:
    """How many of its endpoints are in somebody's hands."""
    joined = store._line._joined  # type: ignore[attr-defined]
    return 0 if joined is None else joined.pool.places.taken


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stopped inside, unless it has been ended there."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if process.alive(pid):
            os.kill(pid, signal.SIGCONT)


# Nobody there -----------------------------------------------------------------------------------------------------


def test_without_a_system_it_is_an_outage_at_once(home: Path) -> None:
    """Not an empty session, not a wait: StoreUnavailable that says what to start. And nothing is made."""
    client = coatcheck.connect(home, lane="actor")
    begin = time.monotonic()
    for verb in (client.create, client.stats, lambda: client.load("x" * 54), lambda: client.sessions_of("u")):
        with pytest.raises(StoreUnavailable, match=f"no actor system runs on {home}: start one with"):
            verb()

    assert time.monotonic() - begin < 1.0
    assert not home.exists()
    client.close()


def test_what_was_never_issued_is_refused_here(store: ActorStore, running: RunningSystem) -> None:
    """A forged token does not cost the manager anything."""
    system, manager = join(running.home)
    before = system.ask(manager, InspectActor(), 10.0).handled
    assert store.load("forged") is None
    assert store.find("forged").reason == "forged"
    assert store.delete("forged") is False
    for verb in (store.touch, store.rotate, store.take_flashes, lambda token: store.save(token, [Set("a", 1)])):
        with pytest.raises(BadToken):
            verb("forged")

    after = system.ask(manager, InspectActor(), 10.0).handled
    system.shutdown()
    assert set(after.items()) - set(before.items()) <= {("InspectActor", after["InspectActor"])}


def test_bad_data_leaves_the_line_in_order(store: ActorStore) -> None:
    """What cannot be stored is named here, and the next request is answered."""
    token, _ = store.create({"a": 1})
    with pytest.raises(UnstorableValue, match=r"cannot store cart\[0\]"):
        store.save(token, [Set("cart", [object()])])
    store.delete(token)
    with pytest.raises(SessionMissing, match="deleted"):
        store.touch(token)


def test_other_store_wide_settings_are_an_error(running: RunningSystem) -> None:
    """A client that asks for something else than the store has is told both values, as on the direct lane."""
    store = ActorStore(Settings(home=running.home, max_session_bytes=1234))
    with pytest.raises(ConfigurationError, match=r"max_session_bytes is 65536 in the store .* but 1234 was asked for"):
        store.create()
    store.close()


# Slow and dead managers -------------------------------------------------------------------------------------------


def test_a_slow_manager_is_an_outage_and_its_late_answer_nobodys(running: RunningSystem) -> None:
    """Within ``ask_timeout`` comes RequestTimeout; afterwards each gets his own session."""
    store = ActorStore(Settings(home=running.home, ask_timeout=0.3))
    one, _ = store.create({"n": 1})
    two, _ = store.create({"n": 2})
    with stopped(manager_of(running)):
        for _ in range(2):
            begin = time.monotonic()
            with pytest.raises(RequestTimeout, match=r"no answer .* within 0\.3 s"):
                store.load(one)
            assert 0.2 < time.monotonic() - begin < 3.0
    patient = ActorStore(Settings(home=running.home))

    for _ in range(5):
        record = patient.load(two)
        assert record is not None
        assert record.data == {"n": 2}
    store.close()
    patient.close()


def test_a_write_that_timed_out_is_not_done_later(running: RunningSystem) -> None:
    """The manager drops what nobody waits for: the caller was told that it is not known to be done."""
    store = ActorStore(Settings(home=running.home, ask_timeout=0.3))
    token, _ = store.create({"n": 0})
    with stopped(manager_of(running)), pytest.raises(RequestTimeout, match="unknown"):
        store.save(token, [Increment("n")])
    patient = ActorStore(Settings(home=running.home))
    record = patient.load(token)

    assert record is not None
    assert record.data == {"n": 0}
    store.close()
    patient.close()


def test_a_manager_that_dies_during_a_request_is_found_again(store: ActorStore, running: RunningSystem) -> None:
    """Requests under way are sent again to the next one: no error, long before the timeout, each applied once."""
    token, _ = store.create({"n": 0})
    pid = manager_of(running)
    answers: list[object] = []

    def work(number: int) -> None:
        try:
            answers.append(store.save(token, [Increment("n")]) if number % 2 else store.load(token))
        except Exception as error:  # noqa: BLE001 - shown below
            answers.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    begin = time.monotonic()
    with stopped(pid):
        for each in threads:
            each.start()
        until(lambda: in_use(store) == len(threads), "they do not ask")
        os.kill(pid, signal.SIGKILL)
        for each in threads:
            each.join()

    assert time.monotonic() - begin < 9.0
    assert [each for each in answers if isinstance(each, Exception) or each is None] == []
    record = store.load(token)
    assert record is not None
    assert record.data == {"n": 2}


def test_a_manager_that_dies_with_a_request_in_its_hands(store: ActorStore, running: RunningSystem) -> None:
    """It had taken the request, which waited behind another writer: noticed at once, done once by the next manager."""
    token, _ = store.create({"n": 0})
    pid = manager_of(running)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(store.save(token, [Increment("n")])))
    with (running.home / "writer").open("r+b") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        thread.start()
        until(lambda: report_of(running).details["writes_waiting"], "the write does not wait")
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        until(lambda: manager_of(running) != pid, "no other manager")
    thread.join()

    assert time.monotonic() - begin < 8.0
    assert len(answers) == 1
    record = store.load(token)
    assert record is not None
    assert record.data == {"n": 1}


def test_a_dead_manager_is_known_before_anything_is_sent(store: ActorStore, running: RunningSystem) -> None:
    """The connection to one that died since is closed: what is certainly not read may be sent again, deletes too."""
    for _ in range(3):
        token, _ = store.create()
        pid = manager_of(running)
        os.kill(pid, signal.SIGKILL)
        # Waited for by its parent, not just ended: its threads keep its connections a moment longer than itself.
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "the manager goes on")  # type: ignore[misc]

        assert store.delete(token) is True


def test_a_delete_is_not_sent_twice(store: ActorStore, running: RunningSystem) -> None:
    """Sent again it would find nothing: the answer is that it is unknown, at once, and not a wrong one."""
    token, _ = store.create()
    pid = manager_of(running)
    errors: list[Exception] = []

    def work() -> None:
        try:
            store.delete(token)
        except StoreUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    with stopped(pid):
        thread.start()
        until(lambda: in_use(store) == 1, "it does not ask")
        os.kill(pid, signal.SIGKILL)
        thread.join()

    assert len(errors) <= 1
    for each in errors:
        assert isinstance(each, RequestTimeout)
        assert "unknown" in str(each)
    store.delete(token)
    assert store.load(token) is None


def test_a_stopped_writer_is_named_and_loads_go_on(store: ActorStore, running: RunningSystem) -> None:
    """Behind a writer that is stopped in its transaction, each write is told its process in time; reading goes on."""
    token, _ = store.create({"n": 0})
    gate = WriterGate(running.home / "writer")
    until(gate.enter, "the gate is never free")
    begin = time.monotonic()
    try:
        outcomes = together(3, lambda _: outcome(lambda: store.save(token, [Increment("n")])))
        waited = time.monotonic() - begin
        record = store.load(token)
    finally:
        gate.leave()
        gate.close()

    assert [(type(each), each.holder_pid) for each in outcomes] == [(StoreUnavailable, os.getpid())] * 3
    assert waited < 5.0
    assert record is not None
    assert store.save(token, [Increment("n")]).data == {"n": 1}


# Threads and processes --------------------------------------------------------------------------------------------


def test_threads_get_their_own_answers(store: ActorStore) -> None:
    """More threads than endpoints: each waits for its turn and gets its own session."""
    tokens = [store.create({"n": number})[0] for number in range(12)]

    def work(number: int) -> set[int]:
        seen = set()
        for _ in range(15):
            record = store.load(tokens[number])
            assert record is not None
            seen.add(record.data["n"])
        return seen

    assert together(12, work) == [{number} for number in range(12)]


def test_no_free_endpoint_is_an_outage_that_says_so(running: RunningSystem) -> None:
    """The pool is bounded; who waits in vain is told what to change."""
    store = ActorStore(Settings(home=running.home, ask_timeout=0.5, pool_size=1))
    store.stats()
    line = store._line
    endpoint = line._joined.pool.take(1.0)  # type: ignore[attr-defined]
    with pytest.raises(RequestTimeout, match=r"all 1 endpoints .* raise pool_size"):
        store.stats()

    line._joined.pool.give_back(endpoint)  # type: ignore[attr-defined]
    assert store.stats().sessions >= 0
    store.close()


def test_a_store_from_before_the_fork_works_on_both_sides(store: ActorStore) -> None:
    """With ``gunicorn --preload`` as with os.fork: parent and children use one store, and nobody gets another's."""
    tokens = [store.create({"n": number})[0] for number in range(5)]

    def right(number: int) -> bool:
        for _ in range(20):
            record = store.load(tokens[number])
            if record is None or record.data != {"n": number}:
                return False
        return True

    children = []
    for number in range(1, 5):
        pid = os.fork()
        if pid == 0:  # pragma: no cover - in the child
            code = 1
            try:
                code = 0 if right(number) else 2
            finally:
                os._exit(code)
        children.append(pid)
    assert right(0)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
    assert right(0)


SPAWNED = """
import sys, coatcheck
with coatcheck.connect(sys.argv[1], lane="actor") as client:
    client.save(sys.argv[2], [coatcheck.Set(sys.argv[3], 1)])
"""


def test_processes_writing_one_session_lose_nothing(store: ActorStore, running: RunningSystem) -> None:
    """Ten processes write ten keys of one session at the same time: ten keys."""
    token, _ = store.create()
    writers = [
        subprocess.Popen([sys.executable, "-c", SPAWNED, str(running.home), token, f"key-{number}"], cwd=ROOT)
        for number in range(10)
    ]
    assert [each.wait(60) for each in writers] == [0] * 10

    record = store.load(token)
    assert record is not None
    assert sorted(record.data) == sorted(f"key-{number}" for number in range(10))


def test_closed_is_opened_again(store: ActorStore) -> None:
    """After ``close`` the next verb joins anew; closing twice is no error, and leaves no descriptor open."""
    store.stats()
    store.close()
    store.close()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(5):
        store.stats()
        store.close()
    until(lambda: descriptors() <= before, "descriptors are left open")
