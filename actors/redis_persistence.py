"""RedisPersistence: the actor that has the host's duty in Redis, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coatcheck.actors.base import BaseActor
from coatcheck.actors.desk import Desk
from coatcheck.messages import InspectRedis, RedisInspected
from coatcheck.settings import Settings
from coatcheck.system.failures import place_of

if TYPE_CHECKING:
    from coatcheck.redis.duty import DutyThread

_ROUND = 1.0
_STOP_WITHIN = 3.0


class RedisPersistence(BaseActor):
    """Drains the outbox of a standby host into Redis, or follows the streams of a shared one.

    That is done by a thread of its process, which waits for Redis and for the store; the actor looks after the thread
    by ``wakeupAfter`` and says how it stands. No handler waits for either. Its settings come from the environment of
    its process, like those of the manager.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mode = "none"
        self._thread: DutyThread | None = None

    def make_desk(self) -> Desk:
        """InspectRedis and InspectActor."""
        desk = Desk(type(self).__name__, {InspectRedis: self._inspected})
        desk.details = self._details
        return desk

    def begin(self) -> None:
        """Start the thread."""
        from coatcheck.redis.duties import duty_of
        from coatcheck.redis.duty import DutyThread

        settings = Settings.load()
        self._mode = settings.redis or "none"
        self._thread = DutyThread(lambda: duty_of(settings))
        self._thread.ensure()

    def tick(self) -> float:
        """See that the thread runs."""
        assert self._thread is not None
        self._thread.ensure()
        if self._thread.error is not None:
            self.desk.last_error = place_of(self._thread.error)
        return _ROUND

    def end(self, *, idle: bool) -> None:
        """Let the thread end: what is left in the outbox stays there."""
        if self._thread is not None:
            self._thread.stop(_STOP_WITHIN)

    def _inspected(self, request: InspectRedis) -> RedisInspected:
        details = self._details()
        return RedisInspected(
            request_id=request.request_id,
            mode=self._mode,
            error=details["error"],
            findings=details["findings"],
            signals=details["signals"],
        )

    def _details(self) -> Mapping[str, Any]:
        thread = self._thread
        if thread is None:
            return {"mode": self._mode, "error": None, "findings": [], "signals": {}}
        duty = thread.duty
        return {
            "mode": self._mode,
            "error": None if thread.error is None else f"{thread.error}",
            "findings": [each.as_mapping() for each in getattr(duty, "findings", ())],
            "signals": {} if duty is None else dict(duty.signals()),
            "steps": thread.steps,
            "since_step": round(thread.stuck_for, 3),
        }
