"""Work in threads, collected by the actor's own."""

from __future__ import annotations

import threading
from typing import Any

from coatcheck.actors.jobs import Jobs
from tests.system.running import until


def test_results_arrive_in_the_thread_that_collects() -> None:
    """The work runs elsewhere; what is to be sent is handed back, in order."""
    jobs = Jobs()
    seen: list[tuple[Any, int]] = []

    def done(result: Any) -> None:
        seen.append((result, threading.get_ident()))

    for number in range(20):
        jobs.submit("a", lambda number=number: (number, threading.get_ident()), done)  # type: ignore[misc]
    assert jobs.pending == jobs.waiting("a") == 20
    assert seen == []
    until(lambda: jobs.collect() + len(seen) >= 20 and jobs.pending == 0, "the work is not done")

    assert [result[0] for result, _ in seen] == list(range(20))
    assert {where for _, where in seen} == {threading.get_ident()}
    assert threading.get_ident() not in {result[1] for result, _ in seen}
    assert jobs.stop(5.0)


def test_one_queue_does_not_wait_for_another() -> None:
    """A backup keeps nobody from writing."""
    jobs, released = Jobs(), threading.Event()
    seen: list[str] = []
    jobs.submit("long", lambda: released.wait(30), lambda _: seen.append("long"))
    jobs.submit("writes", lambda: None, lambda _: seen.append("write"))
    until(lambda: jobs.collect() or seen, "the write waits")

    assert seen == ["write"]
    assert (jobs.waiting("long"), jobs.waiting("writes")) == (1, 0)
    released.set()
    until(lambda: jobs.collect() or "long" in seen, "the long work is not done")
    assert jobs.stop(5.0)


def test_what_work_raises_is_its_result() -> None:
    """Even the end of the interpreter, raised in a thread, is only a result."""
    jobs = Jobs()
    seen: list[object] = []

    def fail() -> None:
        raise SystemExit(3)

    jobs.submit("a", fail, seen.append)
    jobs.submit("a", lambda: "goes on", seen.append)
    until(lambda: jobs.collect() + len(seen) >= 2, "the work is not done")

    assert isinstance(seen[0], SystemExit)
    assert seen[1] == "goes on"
    assert jobs.stop(5.0)


def test_stopping_waits_no_longer_than_it_may() -> None:
    """Work under way is not waited for beyond the time given, and said."""
    jobs, released = Jobs(), threading.Event()
    jobs.submit("a", lambda: released.wait(30), lambda _: None)

    assert jobs.stop(0.05) is False
    released.set()
    assert jobs.stop(5.0) is True
