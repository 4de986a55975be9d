"""Upkeep: what administrators ask the SessionManager to do to the store as a whole. All of it may take a while."""

from __future__ import annotations

from coatcheck.messages.packing import QuietRequest, Reply, Request, message
from coatcheck.store.contract import CheckReport, CleanupReport


@message
class CleanupExpired(QuietRequest):
    """Message to ask the manager to remove what is expired now, in paced batches.

    It does so by itself all the time; nobody needs to send this. Answer with ``confirm``: :class:`SessionsCleaned`.
    """

    limit: int = 1000
    """The most entries to deal with."""


@message
class SessionsCleaned(Reply):
    """A sweep has ended."""

    report: CleanupReport
    """What it did."""


@message
class CheckStore(Request):
    """Message to ask the manager to compare every record with every index. Answer: :class:`StoreChecked`."""


@message
class StoreChecked(Reply):
    """The whole store was read in one snapshot."""

    report: CheckReport
    """What was found wrong."""


@message
class BackupStore(Request):
    """Message to ask the manager for a consistent copy. Answer: :class:`StoreBackedUp`."""

    target: str
    """A directory that does not exist yet, as the manager's host sees it; an absolute path."""


@message
class StoreBackedUp(Reply):
    """The copy is complete."""


@message
class CompactStore(Request):
    """Message to ask the manager to rewrite the data file without its free pages. Answer: :class:`StoreCompacted`."""


@message
class StoreCompacted(Reply):
    """The data file is as small as it can be."""

    before: int
    """Its size before, in bytes."""

    after: int
    """Its size now, in bytes."""


@message
class SyncStore(Request):
    """Message to ask the manager to force onto the disk what was committed. Answer: :class:`StoreSynced`."""


@message
class StoreSynced(Reply):
    """What had been committed before the request is on the disk."""
