"""Duties: what a host does for its sessions in Redis all the time, in a thread of one of its processes.

One process of a host has the duty, that of the actor RedisPersistence. Which one it is, the mode says: a *standby* host
drains its outbox, a *shared* one follows the streams.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from coatcheck.clock import clock_from
from coatcheck.errors import CoatcheckError, ConfigurationError
from coatcheck.redis import connecting, findings
from coatcheck.redis.circuit import Pauses
from coatcheck.redis.driver import Driver
from coatcheck.redis.verbs import Verbs
from coatcheck.settings import Settings

if TYPE_CHECKING:
    from coatcheck.clock import Clock

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at the configuration of Redis."""

_AFTER_MISTAKE: Final = 5.0

_log = logging.getLogger("coatcheck.redis")


class Duty(Protocol):
    """What a :class:`DutyThread` does. All is called in its thread, but ``signals``."""

    def step(self) -> float:
        """Do what there is to do, for about a second at most; the seconds until there may be more.

        Raises StoreUnavailable while Redis or the store cannot be asked; then it is called again after a pause.
        """

    def signals(self) -> Mapping[str, Any]:
        """How it stands, in numbers and names; never waits."""

    def close(self) -> None:
        """Give back what is open. ``step`` may be called again afterwards."""


class Watch:
    """What every duty has: the connection to Redis, agreement about the store there, and what is wrong with it."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        """Connect to nothing yet. Raises ConfigurationError for a URL that cannot be."""
        self.mode = settings.redis or "none"
        make = connecting.maker(connecting.client_of, settings.redis_url, None, {})
        self.clock: Clock = clock or clock_from(settings.clock)
        self.driver = Driver(make)
        self.verbs = Verbs(_in_redis(settings), settings.redis_prefix or "coatcheck", self.clock)
        self.findings: list[findings.Finding] = []
        """What the last look has found."""
        self._next_look = 0.0

    def step(self) -> float:
        """Look at the configuration of Redis when it is time to; see :class:`Duty`."""
        if time.monotonic() >= self._next_look:
            self.look()
        return 1.0

    def look(self) -> None:
        """Look at the configuration of Redis now, say what is new, and agree about the store there.

        Raises ConfigurationError for a store of another mode or secret, and StoreUnavailable.
        """
        before = {each.code for each in self.findings}
        self.findings = self.driver.run(findings.look(self.verbs.layout, self.mode, self.clock.now()))
        for each in self.findings:
            if each.code not in before:
                _log.log(logging.ERROR if each.severe else logging.WARNING, "Redis: %s", each.text)
        self.driver.run(self.verbs.opened())
        self._next_look = time.monotonic() + LOOK_EVERY

    def look_again(self) -> None:
        """Look at the next step: it may be another server."""
        self._next_look = 0.0

    def signals(self) -> Mapping[str, Any]:
        """See :class:`Duty`."""
        circuit = self.driver.circuit
        return {
            "reachable": not circuit.is_open,
            "unreachable_for": round(circuit.open_for, 3),
            "circuit_opened": circuit.opened,
        }

    def close(self) -> None:
        """See :class:`Duty`."""
        self.verbs.forget()
        self.driver.close()


def _in_redis(settings: Settings) -> Settings:
    """Of these what counts for the store in Redis: who may open it, its limits, not how the local one is kept."""
    return Settings(
        home=settings.home,
        secrets=settings.secrets,
        redis=settings.redis,
        clock=settings.clock,
        max_session_bytes=settings.max_session_bytes,
        max_flashes=settings.max_flashes,
        max_sessions_per_principal=settings.max_sessions_per_principal,
        on_principal_limit=settings.on_principal_limit,
    )


class DutyThread:
    """Runs a duty in a thread, again and again, with pauses that grow while it cannot be done."""

    def __init__(self, make: Callable[[], Duty], pauses: Pauses | None = None) -> None:
        """``make``: makes the duty, in the thread; called again until it works."""
        self._make = make
        self._pauses = pauses or Pauses()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.duty: Duty | None = None
        """Once it could be made."""
        self.error: Exception | None = None
        """Why it cannot be done at present; None while it can."""
        self.steps = 0
        """How many steps were done."""
        self._stood_at = time.monotonic()

    def ensure(self) -> None:
        """See that the thread runs: it is started again where something nobody foresaw has ended it."""
        if not self._stopping and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="coatcheck-redis", daemon=True)
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def stuck_for(self) -> float:
        """Seconds since a step has ended."""
        return time.monotonic() - self._stood_at

    def hurry(self) -> None:
        """Do the next step now."""
        self._wake.set()

    def stop(self, timeout: float) -> bool:
        """End after the step that is under way; whether it has within ``timeout`` seconds."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.alive

    def _run(self) -> None:
        try:
            while not self._stopping:
                pause = self._step()
                self.steps += 1
                self._stood_at = time.monotonic()
                if pause > 0 and self._wake.wait(pause):
                    self._wake.clear()
        finally:
            if self.duty is not None:
                self.duty.close()

    def _step(self) -> float:
        try:
            if self.duty is None:
                self.duty = self._make()
            pause = self.duty.step()
        except CoatcheckError as error:
            self._failed(error)
            return max(_AFTER_MISTAKE if isinstance(error, ConfigurationError) else 0.0, self._pauses.next())
        except Exception as error:  # noqa: BLE001 - the thread must outlive what it does not foresee
            self._failed(error)
            return _AFTER_MISTAKE
        if self.error is not None:
            _log.info("Redis: the %s works again", type(self.duty).__name__.lower())
            self.error = None
        self._pauses.reset()
        return pause

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, CoatcheckError)
        if self.error is None or type(self.error) is not type(error):
            if known:
                _log.warning("Redis: %s", error)
            else:
                _log.error("Redis: a step failed", exc_info=error)
        self.error = error
