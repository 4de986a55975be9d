"""SessionManager: the actor through which everybody without the store in his own process reaches sessions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coatcheck.actors.base import BaseActor
from coatcheck.actors.desk import Desk
from coatcheck.actors.rounds import Rounds
from coatcheck.actors.verbs import WRITES, Verbs
from coatcheck.admin.audit_file import AuditFile, AuditWriter
from coatcheck.metering import Source, meter_of
from coatcheck.settings import Settings
from coatcheck.system.failures import place_of


class SessionManager(BaseActor):
    """All verbs of the store as messages, and the upkeep of the store by ``wakeupAfter``.

    Its settings come from the environment of its process (``COATCHECK_HOME``, ...), where ``run_system.py`` puts them;
    the server's secret never travels in a message.
    """

    def __init__(self) -> None:
        super().__init__()
        self._verbs: Verbs | None = None
        self._rounds: Rounds | None = None
        self._counted: list[Source] = []
        self._audit: AuditWriter | None = None

    def make_desk(self) -> Desk:
        """Every verb of the store, and InspectActor."""
        self._verbs = Verbs(Settings.load())
        self._verbs.queued = self.jobs.waiting
        self._rounds = Rounds(self._verbs.store, self.jobs)
        desk = Desk(type(self).__name__, self._verbs.handlers)
        desk.details = self._details
        meter = meter_of(self._verbs.store.settings.home)
        self._counted = [
            meter.add(f"actor.{desk.actor}.handled", desk, desk.handled),
            meter.add(f"actor.{desk.actor}.failed", desk, desk.failed),
        ]
        return desk

    def begin(self) -> None:
        """Open the store, in a thread: somebody may be alone on it."""
        self.desk  # noqa: B018 - makes it
        assert self._verbs is not None
        self.jobs.submit(WRITES, self._verbs.open, self._opened)

    def _opened(self, result: Any) -> None:
        if isinstance(result, Exception):
            self.desk.note(result)
            self.log.error("the store cannot be opened: %s", result)
        else:
            self.log.info("the store is open")
            self._begin_audit_file()

    def _begin_audit_file(self) -> None:
        assert self._verbs is not None
        store = self._verbs.store
        path = store.settings.audit_file
        if path is not None and self._audit is None and not self.ending:
            settings = store.settings
            most, count = settings.audit_file_bytes, settings.audit_file_count
            self._audit = AuditWriter(AuditFile(store, Path(path), most_bytes=most, count=count))
            self._audit.start()

    def tick(self) -> float:
        """One round of upkeep."""
        assert self._verbs is not None
        assert self._rounds is not None
        if not self._verbs.ready:
            if not self.jobs.waiting(WRITES):
                self.jobs.submit(WRITES, self._verbs.open, self._opened)
            return 1.0
        delay = self._rounds.step()
        error = self._rounds.last_error
        if error is not None:
            if isinstance(error, Exception):
                self.desk.note(error)
            self.log.log(logging.WARNING, "upkeep: %s", place_of(error))
        return delay

    def end(self, *, idle: bool) -> None:
        """Leave the duty, and close the store unless a thread is still in it."""
        if self._audit is not None:
            self._audit.stop()
        if self._rounds is not None and self._verbs is not None:
            self._rounds.leave()
            if idle:
                self._verbs.close()

    def _details(self) -> Mapping[str, Any]:
        if self._rounds is None or self._verbs is None:
            return {}
        return {
            "ready": self._verbs.ready,
            "on_duty": self._rounds.on_duty,
            "swept": self._rounds.removed,
            "sweep_behind": self._rounds.behind,
            "jobs": self.jobs.pending,
            "writes_waiting": self.jobs.waiting(WRITES),
            "policy": asdict(self._verbs.store.environment.policy) if self._verbs.ready else {},
        }
