"""Live updates: one task takes samples and renders for everybody; each viewer has a stream of server-sent events.

What several viewers see is read and rendered once. A viewer that is slow gets the newest and not everything; one that
has been signed out meanwhile gets nothing more. Live updates are no sign of life of the visit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from coatcheck.admin.dashboard.history import EVERY

MOST: Final = 64
"""Streams at once."""

_SILENCE: Final = 15.0
"""Seconds after which a stream says that it is there: so that proxies do not end it, and lost ones are noticed."""

_log = logging.getLogger("coatcheck.dashboard")

Event = tuple[str, Any]
"""Its name, and what is sent as JSON."""

Make = Callable[[], "list[Event]"]
"""What a topic has to say now. Called in a thread."""


@dataclass
class Viewer:
    """One stream."""

    topic: str
    waiting: asyncio.Queue[list[Event]] = field(default_factory=lambda: asyncio.Queue(1))

    def offer(self, events: list[Event]) -> None:
        """Put it in place of what has not been fetched."""
        with contextlib.suppress(asyncio.QueueEmpty):
            self.waiting.get_nowait()
        self.waiting.put_nowait(events)


class Full(Exception):
    """Too many streams."""


class Live:
    """The task behind all streams."""

    def __init__(self, sample: Callable[[], None], every: float = EVERY) -> None:
        """``sample``: called in a thread each ``every`` seconds, whether or not somebody looks."""
        self._sample, self._every = sample, every
        self._makers: dict[str, Make] = {}
        self._viewers: list[Viewer] = []
        self.busy = 0.0
        """Seconds of work since the start."""

    def __len__(self) -> int:
        return len(self._viewers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as the dashboard runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            await self.round()
            await asyncio.sleep(max(0.1, self._every - (time.monotonic() - began)))

    async def round(self) -> None:
        """Take a sample, and tell everybody."""
        began = time.thread_time()
        try:
            await run_in_threadpool(self._timed, self._sample)
            # Nothing is made where nobody has fetched the last: what follows a position must not skip anything.
            for topic in {each.topic for each in self._viewers if each.waiting.empty()}:
                events = await run_in_threadpool(self._timed, self._makers[topic])
                for viewer in self._viewers:
                    if viewer.topic == topic:
                        viewer.offer(events)
        except Exception as error:  # noqa: BLE001 - a round that fails must not be the last
            _log.warning("live updates: %s", type(error).__name__)
        self.busy += time.thread_time() - began

    def _timed(self, work: Callable[[], Any]) -> Any:
        began = time.thread_time()
        try:
            return work()
        finally:
            self.busy += time.thread_time() - began

    @contextlib.contextmanager
    def viewing(self, topic: str, make: Make) -> Any:
        """A viewer of a topic, as long as the block runs. Raises Full."""
        if len(self._viewers) >= MOST:
            raise Full
        viewer = Viewer(topic)
        self._makers[topic] = make
        self._viewers.append(viewer)
        try:
            yield viewer
        finally:
            self._viewers.remove(viewer)
            if all(each.topic != topic for each in self._viewers):
                del self._makers[topic]

    async def stream(self, topic: str, make: Make, lives: Callable[[], bool]) -> AsyncIterator[str]:
        """Server-sent events, until the viewer leaves or ``lives`` says that it may not see more."""
        with self.viewing(topic, make) as viewer:
            yield "retry: 2000\n\n"
            while True:
                try:
                    events = await asyncio.wait_for(viewer.waiting.get(), _SILENCE)
                except (TimeoutError, asyncio.TimeoutError):
                    events = []
                if not lives():
                    yield sent("ended", None)
                    return
                yield "".join(sent(*each) for each in events) or ": here\n\n"


def sent(name: str, data: Any) -> str:
    """One event as it goes over the wire; JSON has no line breaks."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
