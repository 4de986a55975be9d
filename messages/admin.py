"""Admin: what people who look after a running system ask its actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coatcheck.messages.packing import Reply, Request, message
from coatcheck.store.contract import SessionInfo, StoreStats


@message
class InspectActor(Request):
    """Message to ask any actor how it is. Answer: :class:`ActorReport`."""


@message
class ActorReport(Reply):
    """How an actor is: numbers and names, never what a message held."""

    actor: str
    """The name of its class."""

    version: str
    """The version of coatcheck that it runs."""

    pid: int
    """Its process."""

    parent_pid: int
    """The process that started it."""

    started_at: int
    """Microseconds UTC."""

    uptime: float
    """Seconds."""

    handled: Mapping[str, Any]
    """How many messages it has handled, by the name of their class."""

    failed: Mapping[str, Any]
    """How many of them ended in an error, by the name of the error."""

    late: int
    """Requests that came after their deadline and were not carried out."""

    unrecognized: int
    """Messages that it has no handler for."""

    last_error: str | None
    """Class and place of the last error that was not an answer, such as ``OSError at session_manager.py:71``."""

    details: Mapping[str, Any]
    """What only this kind of actor knows."""

    children: Sequence[Mapping[str, Any]]
    """Its children: ``actor``, ``address``, ``pid``, ``state``, ``restarts``, ``restarts_lately`` (of the last minute),
    ``seen`` (seconds ago, or None)."""


@message
class InspectStore(Request):
    """Message to ask the manager for the counts and sizes of its store. Answer: :class:`StoreInspected`."""


@message
class StoreInspected(Reply):
    """The store's own tables, counted."""

    stats: StoreStats
    """Counts and sizes."""


@message
class ScanSessions(Request):
    """Message to ask the manager for some live sessions in the order of their sid. Answer: :class:`SessionsScanned`."""

    after: str | None = None
    """Begin after this sid; None: at the first."""

    limit: int = 500
    """The most sessions in one answer."""


@message
class SessionsScanned(Reply):
    """Some live sessions; fewer than the limit when there are no more."""

    sessions: Sequence[SessionInfo]
    """No token, no data."""
