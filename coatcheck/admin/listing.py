"""Sessions as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coatcheck.admin.reading.handles import shortened
from coatcheck.admin.reading.words import clock_time, device, duration
from coatcheck.clock import NEVER, SECOND

if TYPE_CHECKING:
    from coatcheck.store.contract import SessionInfo


def show_sessions(sessions: Sequence[SessionInfo], now: int) -> None:
    """A line for each, with handles that tell them apart."""
    if not sessions:
        return
    from coatcheck.admin.rendering import console, table

    handles = shortened(info.sid for info in sessions)
    rows = [
        (
            handles[info.sid],
            info.principal or "-",
            clock_time(info.created_at),
            f"{duration((now - info.last_seen_at) // SECOND)} ago",
            "never" if info.expires_at == NEVER else f"in {duration((info.expires_at - now) // SECOND)}",
            info.size,
            device(info.meta) or "-",
        )
        for info in sessions
    ]
    columns = ("HANDLE", "USER", "CREATED (UTC)", "SEEN", "ENDS", "BYTES", "DEVICE")
    console().print(table(columns, rows, right=("BYTES",)))
