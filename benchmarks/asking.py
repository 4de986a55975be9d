"""Processes that ask an actor when they are told to: one of coatcheck's system, one of a bare Thespian system.

The two cannot live in one process: coatcheck's wire is a change to Thespian's transport for the whole of it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Ask = Callable[[int], Any]
"""Ask about the session of this number, and wait for the answer."""

_SECONDS = 5.0
_PATIENCE = 60.0


class Asker:
    """A process that asks, seen from the one that measures."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def latencies(self, indexes: list[int]) -> array[int]:
        """Ask about each of these, one after the other; nanoseconds."""
        durations: array[int] = self._answer(("latencies", indexes))
        return durations

    def throughput(self, threads: int, seconds: float) -> float:
        """Asks a second of that many threads, each with an endpoint of its own."""
        rate: float = self._answer(("throughput", threads, seconds))
        return rate

    def _answer(self, question: tuple[Any, ...]) -> Any:
        self._pipe.send(question)
        if not self._pipe.poll(_PATIENCE):
            msg = f"no answer from the process that asks within {_PATIENCE:.0f} s"
            raise RuntimeError(msg)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def asker(work: Callable[..., None], *arguments: Any) -> Iterator[Asker]:
    """The process that does ``work``, which begins with its end of the pipe: :func:`ask_bare` for example."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield Asker(mine)
    finally:
        mine.close()
        process.join(_PATIENCE)
        process.kill()


def ask_coatcheck(pipe: Connection, home: Path, tokens: Sequence[str]) -> None:
    """``ask(manager, LoadSession)``, as the owner of an actor system has it."""
    from coatcheck.messages import LoadSession, SessionLoaded
    from coatcheck.system import join

    system, manager = join(home, timeout=30.0)

    def asking(endpoint: Any) -> Ask:
        def ask(index: int) -> Any:
            reply = endpoint.ask(manager, LoadSession(token=tokens[index]), _SECONDS)
            if not isinstance(reply, SessionLoaded):
                msg = f"no session but {reply!r}"
                raise TypeError(msg)
            return reply

        return ask

    try:
        _serve(pipe, system, asking)
    finally:
        system.shutdown()


def ask_client(pipe: Connection, home: Path, tokens: Sequence[str]) -> None:
    """``client.load`` on the actor lane: the pool, the check of the token, the retries."""
    import coatcheck

    with coatcheck.connect(home, lane="actor", pool_size=32) as client:

        def ask(index: int) -> Any:
            record = client.load(tokens[index])
            assert record is not None
            return record

        serve(pipe, ask)


def ask_bare(pipe: Connection, request_size: int, reply_size: int) -> None:
    """An echo in a bare Thespian system, with messages as large as those of coatcheck, on loopback like them."""
    os.environ["THESPIAN_BASE_IPADDR"] = "127.0.0.1"
    from thespian.actors import ActorSystem

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    capabilities = {"Admin Port": port, "Process Startup Method": "spawn"}
    system = ActorSystem("multiprocTCPBase", capabilities, logDefs={"version": 1}, transientUnique=True)
    try:
        echo = system.createActor("benchmarks.echo.Echo")
        request = reply_size.to_bytes(4, "big").ljust(request_size, b"x")

        def asking(endpoint: Any) -> Ask:
            def ask(_: int) -> Any:
                reply = endpoint.ask(echo, request, _SECONDS)
                if len(reply) != reply_size:
                    msg = f"an echo of {len(reply)} bytes"
                    raise ValueError(msg)
                return reply

            return ask

        _serve(pipe, system, asking)
    finally:
        system.shutdown()


def serve(pipe: Connection, do: Ask) -> None:
    """Answer what is asked until the other side hangs up; every question about a number is ``do`` with it."""
    _serve(pipe, None, lambda _: do)


def _serve(pipe: Connection, system: Any, asking: Callable[[Any], Ask]) -> None:
    """Answer what is asked until the other side hangs up."""
    with closing(pipe), _endpoint(system) as own:
        ask = asking(own)
        while True:
            try:
                question, *rest = pipe.recv()
            except EOFError:
                return
            try:
                answer = _latencies(ask, *rest) if question == "latencies" else _throughput(system, asking, *rest)
                pipe.send(answer)
            except Exception as error:  # noqa: BLE001 - it is the answer
                pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


@contextmanager
def _endpoint(system: Any) -> Iterator[Any]:
    if system is None:
        yield None
        return
    with system.private() as own:
        yield own


def _latencies(ask: Ask, indexes: list[int]) -> array[int]:
    clock = time.perf_counter_ns
    durations = array("q")
    for index in indexes:
        began = clock()
        ask(index)
        durations.append(clock() - began)
    return durations


def _throughput(system: Any, asking: Callable[[Any], Ask], threads: int, seconds: float) -> float:
    counts = [0] * threads
    failed: list[BaseException] = []
    start = threading.Barrier(threads + 1)
    end = [0.0]

    def run(number: int) -> None:
        with _endpoint(system) as own:
            ask = asking(own)
            ask(0)
            start.wait(_PATIENCE)
            try:
                while time.monotonic() < end[0]:
                    ask(counts[number] % 10)
                    counts[number] += 1
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for each in workers:
        each.start()
    end[0] = time.monotonic() + seconds
    start.wait(_PATIENCE)
    for each in workers:
        each.join(_PATIENCE)
    if failed:
        raise failed[0]
    return sum(counts) / seconds
