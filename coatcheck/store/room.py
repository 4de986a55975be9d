"""Room: refuse what grows while there is still enough for people to log out.

Deletes need pages too (LMDB copies what it changes), so creates and growing saves stop at 90 % of the map, or when
less than 64 MiB is free on the disk and within the file; delete, revoke, rotate, sweep and shrinking saves live off
that reserve.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from coatcheck.errors import StoreFull

if TYPE_CHECKING:
    from coatcheck.store.environment import Environment

RESERVED_DISK: Final = 64 << 20
"""Free bytes of disk below which nothing may grow."""

MAP_SHARE: Final = 0.9
_SMALL_MAP: Final = 1 << 30
_EVERY: Final = 0.05
_EVERY_CALLS: Final = 256


class Room:
    """Looks now and then; a small map is looked at before every write."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._next = 0.0
        self._calls = 0
        self._problem: str | None = None

    def look(self) -> None:
        """Look at the map and the disk when it is time to; outside any transaction."""
        self._calls += 1
        now = time.monotonic()
        small = self._environment.policy.map_size < _SMALL_MAP
        if now >= self._next or self._calls >= _EVERY_CALLS or small or self._problem:
            self._next = now + _EVERY
            self._calls = 0
            self._environment.require_files()
            self._problem = self._full()

    def require(self) -> None:
        """Raise StoreFull when the last look found no room."""
        if self._problem:
            raise StoreFull(self._problem)

    def _full(self) -> str | None:
        environment = self._environment
        if self._free() < RESERVED_DISK and self._reusable() + self._free() < RESERVED_DISK:
            return (
                f"only {self._free() >> 20} MiB of disk are left below {environment.home}: sessions can end but not "
                f"grow until {RESERVED_DISK >> 20} MiB are free"
            )
        limit = environment.policy.map_size * MAP_SHARE
        if environment.highest_byte() > limit and environment.used_bytes() > limit:
            return (
                f"the store in {environment.home} uses 90 % of its map_size of {environment.policy.map_size} bytes: "
                f"sessions can end but not grow until some have"
            )
        return None

    def _free(self) -> int:
        status = os.statvfs(self._environment.home)
        return status.f_bavail * status.f_frsize

    def _reusable(self) -> int:
        """Bytes of free pages in the file, after making them free for use."""
        environment = self._environment
        environment.sync_point()
        return environment.highest_byte() - environment.used_bytes()
