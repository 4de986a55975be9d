"""What the processes of the fork tests do: ``python -m tests.faults.fork_jobs NAME ARGUMENTS...``."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coatcheck.changes import Increment, Set
from coatcheck.clock import SystemClock
from coatcheck.errors import StoreUnavailable
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.tables import Transaction
from coatcheck.store.transactions import Write
from tests.faults.jobs import heard, open_store, say


def _sessions(store: LmdbStore, count: int) -> dict[str, str]:
    """Sessions whose data can be recognised, small ones and ones kept in chunks."""
    made = {}
    for number in range(count):
        text = f"{number:04}" * (5 if number % 3 else 2500)
        made[store.create({"number": number, "text": text})[0]] = text
    return made


def _wrong(store: LmdbStore, sessions: dict[str, str]) -> str | None:
    """What is wrong with what is read, or None."""
    for number, (token, text) in enumerate(sessions.items()):
        record = store.load(token)
        if record is None or record.data["number"] != number or record.data["text"] != text:
            return f"session {number} was read wrong"
    return None


def _child(work: Callable[[], str | None]) -> int:
    """The body of a forked child: its exit status."""
    try:
        problem = work()
    except BaseException as error:  # noqa: BLE001 - it must not go on as the parent
        problem = repr(error)
    if problem:
        say(problem)
    return 1 if problem else 0


class _Threads:
    """Threads that do something again and again until told to stop, and keep what went wrong."""

    def __init__(self, count: int, work: Callable[[int, int], str | None]) -> None:
        self.problems: list[str] = []
        self.turns = [0] * count
        self.stop = threading.Event()
        self._work = work
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def _run(self, number: int) -> None:
        try:
            while not self.stop.is_set():
                problem = self._work(number, self.turns[number])
                self.turns[number] += 1
                if problem:
                    self.problems.append(problem)
                    return
        except Exception as error:  # noqa: BLE001 - told to the test
            self.problems.append(repr(error))


@contextmanager
def _threads(count: int, work: Callable[[int, int], str | None]) -> Iterator[_Threads]:
    """Inside, that many threads work."""
    threads = _Threads(count, work)
    for each in threads.threads:
        each.start()
    try:
        yield threads
    finally:
        threads.stop.set()
        for each in threads.threads:
            each.join()


def fork_while_reading(home: str, count: str) -> None:
    """Fork again and again while threads of this process read; every child reads too."""
    store = open_store(home)
    sessions = _sessions(store, 12)
    failed = 0
    with _threads(3, lambda _number, _turn: _wrong(store, sessions)) as threads:
        for _ in range(int(count)):
            pid = os.fork()
            if not pid:
                os._exit(_child(lambda: _wrong(store, sessions)))
            failed += os.waitpid(pid, 0)[1] != 0
    say(json.dumps({"failed": failed, "problems": threads.problems, "turns": threads.turns}))


def fork_while_writing(home: str, count: str) -> None:
    """Fork while threads of this process write; every child writes too. Print how many writes were confirmed."""
    store = open_store(home)
    token, _ = store.create({})
    numbers = itertools.count()

    def write(number: int, turn: int) -> None:
        store.save(token, [Increment("total"), Set(f"thread-{number}", turn)])

    def write_in_child() -> None:
        for _ in range(3):
            store.save(token, [Increment("total")])

    failed = 0
    with _threads(3, write) as threads:
        for number in itertools.islice(numbers, int(count)):
            pid = os.fork()
            if not pid:
                os._exit(_child(write_in_child))
            failed += os.waitpid(pid, 0)[1] != 0
            store.save(token, [Increment("total"), Set("parent", number)])
    confirmed = sum(threads.turns) + 4 * int(count)
    record = store.load(token)
    say(
        json.dumps(
            {
                "failed": failed,
                "problems": threads.problems,
                "confirmed": confirmed,
                "total": record and record.data["total"],
                "check": [str(each) for each in store.check().problems],
            }
        )
    )


def fork_from_threads(home: str) -> None:
    """Several threads fork at the same time; parent and children read."""
    store = open_store(home)
    sessions = _sessions(store, 3)
    forks = itertools.count()

    def work(_number: int, _turn: int) -> str | None:
        next(forks)
        pid = os.fork()
        if not pid:
            os._exit(_child(lambda: _wrong(store, sessions)))
        return "a child failed" if os.waitpid(pid, 0)[1] else _wrong(store, sessions)

    with _threads(3, work) as threads:
        while next(forks) < 150:
            _wrong(store, sessions)
    say(json.dumps(threads.problems))


def fork_before_the_first_use(home: str) -> None:
    """Build the store, fork, and use it on both sides: what ``--preload`` does."""
    store = open_store(home)
    store.prepare()
    pids = []
    for number in range(4):
        pid = os.fork()
        if not pid:
            os._exit(_child(lambda number=number: store.create({"child": number}) and None))  # type: ignore[misc]
        pids.append(pid)
    store.create({"parent": 1})
    say(json.dumps([os.waitpid(pid, 0)[1] for pid in pids]))


def fork_of_a_fork(home: str) -> None:
    """Children of children, each of which uses the store before it forks."""
    store = open_store(home)
    sessions = _sessions(store, 3)

    def work(depth: int) -> str | None:
        problem = _wrong(store, sessions)
        if problem or not depth:
            return problem
        pid = os.fork()
        if not pid:
            os._exit(_child(lambda: work(depth - 1)))
        return "a child failed" if os.waitpid(pid, 0)[1] else _wrong(store, sessions)

    say(work(4) or "well")


def fork_in_c(home: str) -> None:
    """A fork that Python is not told of; the child uses what it has inherited."""
    store = open_store(home)
    sessions = _sessions(store, 3)
    reader, writer = os.pipe()
    pid = ctypes.PyDLL(None).fork()  # keeps the interpreter's lock, so that the child can run Python at all
    if not pid:
        answers = []
        for verb in (lambda: store.load(next(iter(sessions))), lambda: store.create({"child": 1})):
            try:
                verb()
                answers.append("no error")
            except StoreUnavailable as error:
                answers.append(str(error))
            except BaseException as error:  # noqa: BLE001 - told to the test
                answers.append(repr(error))
        os.write(writer, json.dumps(answers).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    say(json.dumps({"child": json.loads(os.read(reader, 10_000)), "pid": pid, "parent": _wrong(store, sessions)}))


def fork_beside_subprocesses(home: str) -> None:
    """Start programs while threads write: what is inherited between fork and exec holds nobody up."""
    import subprocess

    store = open_store(home, gate_timeout=5)
    token, _ = store.create({})

    def write(_number: int, _turn: int) -> None:
        store.save(token, [Increment("total")])

    with _threads(2, write) as threads:
        for _ in range(30):
            subprocess.run(["true"], check=True)
    record = store.load(token)
    total = None if record is None else record.data["total"]
    say(json.dumps({"problems": threads.problems, "well": total == sum(threads.turns)}))


def fork_beside_a_writer(home: str, ending: str, durability: str) -> None:
    """Fork while a thread is inside a write transaction, which goes on only when the fork waits for it."""
    store = open_store(home, background=False, durability=durability)
    sessions = _sessions(store, 3)
    environment = store.environment
    begin = environment.begin_write
    inside = threading.Event()
    problems: list[str] = []

    def begin_and_wait_for_the_fork(timeout: float) -> Transaction:
        transaction = begin(timeout)
        inside.set()
        while not environment.forks:
            os.sched_yield()
        return transaction

    def work() -> None:
        try:
            if ending == "sync point":
                environment.sync_point()
            else:
                with Write(environment, 2.0):
                    raise KeyError(ending)  # what no verb foresees ends in an abort
        except BaseException as error:  # noqa: BLE001 - told to the test
            problems.append(repr(error))

    environment.begin_write = begin_and_wait_for_the_fork  # type: ignore[method-assign]
    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    pid = os.fork()
    if not pid:
        os._exit(_child(lambda: _wrong(store, sessions)))
    status = os.waitpid(pid, 0)[1]
    thread.join()
    environment.begin_write = begin  # type: ignore[method-assign]
    store.create({"afterwards": 1})
    say(json.dumps({"child": status, "problems": problems, "parent": _wrong(store, sessions)}))


def fork_once(home: str, token: str) -> None:
    """Fork when told to; say what the child says of its load, and what a thread that loads all the time met."""
    store = open_store(home)
    store.save(token, [Set("pinned", 1)])
    with _threads(1, lambda *_: None if store.load(token) else "gone") as threads:
        say("ready")
        heard()
        pid = os.fork()
        if not pid:
            try:
                say("loaded" if store.load(token) else "gone")
            except StoreUnavailable as error:
                say(str(error))
            os._exit(0)
        os.waitpid(pid, 0)
    say(json.dumps(threads.problems))
    heard()
    store.save(token, [Set("after", 1)])
    say("saved")


def fork_in_a_signal_handler(home: str, count: str) -> None:
    """A signal handler forks wherever the signal comes; its child loads. Every confirmed write counts once."""
    store = open_store(home, background=False)
    token, _ = store.create({"n": 0})
    statuses: list[int] = []

    def fork(*_: object) -> None:
        pid = os.fork()
        if not pid:
            try:
                status = 0 if store.load(token) else 1
            except StoreUnavailable as error:
                status = 2 if "signal handler" in str(error) else 3
            except BaseException:  # noqa: BLE001 - it must not go on as the parent
                status = 4
            os._exit(status)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    signal.signal(signal.SIGALRM, fork)
    confirmed = 0
    dice = random.Random(1)
    while len(statuses) < int(count):
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-5, 5e-4))
        for _ in range(20):
            store.save(token, [Increment("n")])
            confirmed += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        if dice.random() < 0.2:
            store.close()
    record = store.load(token)
    say(json.dumps({"odd": sorted(set(statuses) - {0, 2}), "lost": confirmed - (record.data["n"] if record else 0)}))


def fork_inside_and_be_killed(home: str) -> None:
    """A signal handler forks inside of a transaction; the parent is killed there, its child lives on."""
    store = open_store(home, background=False)
    token, _ = store.create({"n": 0})

    def fork(*_: object) -> None:
        if os.fork():
            os.kill(os.getpid(), signal.SIGKILL)
        say(str(os.getpid()))
        heard()
        os._exit(0)

    def now() -> int:
        signal.raise_signal(signal.SIGUSR1)
        return SystemClock().now()

    signal.signal(signal.SIGUSR1, fork)
    store._now = now  # asked inside of the transaction
    store.save(token, [Increment("n")])


JOBS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        fork_while_reading,
        fork_while_writing,
        fork_before_the_first_use,
        fork_of_a_fork,
        fork_from_threads,
        fork_in_c,
        fork_beside_subprocesses,
        fork_beside_a_writer,
        fork_once,
        fork_in_a_signal_handler,
        fork_inside_and_be_killed,
    )
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
