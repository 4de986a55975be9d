"""Supervision: how the SystemSupervisor, its children and those who join a system find each other."""

from __future__ import annotations

from coatcheck.messages.packing import Reply, Request, message


@message
class FindManager(Request):
    """Message to ask the supervisor where the SessionManager is. It is answered when there is one that answers.

    Answer: :class:`ManagerFound`.
    """


@message
class ManagerFound(Reply):
    """The manager was alive a moment ago."""

    address: str
    """``host:port``, as the wire has it."""

    pid: int
    """Its process: another one after a restart."""
