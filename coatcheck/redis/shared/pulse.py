"""The pulse of the follower, in memory that all processes of a host share: until when each tag has been heard.

A load looks at it each time, so it is no row of the store but a small mapped file. Only who follows writes it. After a
reboot what it says counts for nothing.
"""

from __future__ import annotations

import mmap
import os
import time
from hashlib import blake2b
from pathlib import Path
from typing import Final

from coatcheck.clock import SECOND, SystemClock
from coatcheck.redis.layout import TAGS
from coatcheck.store.files import open_private, prepare_directory
from coatcheck.store.opener import boot_id

PULSE: Final = "pulse"
"""The name of the file in the state directory."""

LIVE_FOR: Final = SECOND
"""How long what was heard counts, in microseconds: no copy that answers is older."""

_HEAD: Final = 2
_LIVE, _EPOCH, _NEWS = range(3)
_EACH: Final = 3
_WORDS: Final = _HEAD + _EACH * len(TAGS)
_SIZE: Final = 8 * _WORDS
_LOOK_EVERY: Final = 1.0

_boottime = SystemClock.boottime


class Pulse:
    """Words of 64 bits, each read and written at once."""

    def __init__(self, home: Path) -> None:
        """Map nothing yet."""
        self._path = home / PULSE
        self._words: memoryview | None = None
        self._identity: tuple[int, int] | None = None
        self._boot = memoryview(blake2b(boot_id(), digest_size=16).digest()).cast("Q").tolist()
        self._looked = 0.0

    @property
    def words(self) -> memoryview:
        """The mapped file; one that was removed is left, after a while, for that which stands there now."""
        words = self._words
        if words is None:
            return self._map()
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY:
            self._looked = now
            try:
                status = self._path.stat()
            except FileNotFoundError:
                return self._map()
            if (status.st_dev, status.st_ino) != self._identity:
                return self._map()
        return words

    def _map(self) -> memoryview:
        prepare_directory(self._path.parent)
        descriptor = open_private(self._path)
        try:
            if os.fstat(descriptor).st_size < _SIZE:
                os.ftruncate(descriptor, _SIZE)
            status = os.fstat(descriptor)
            words = memoryview(mmap.mmap(descriptor, _SIZE)).cast("B").cast("Q")
        finally:
            os.close(descriptor)
        self._words, self._identity, self._looked = words, (status.st_dev, status.st_ino), time.monotonic()
        return words

    def close(self) -> None:
        """Give the memory back when nobody uses it any more."""
        self._words = None

    # Whoever loads ---------------------------------------------------------------------------------------------

    def is_live(self, tag: int, epoch: int) -> bool:
        """Whether what is kept of a tag since that epoch is what Redis has, but for the last second."""
        words = self.words
        at = _HEAD + tag * _EACH
        return (
            0 <= _boottime() - words[at] <= LIVE_FOR
            and words[at + _EPOCH] == epoch
            and words[0] == self._boot[0]
            and words[1] == self._boot[1]
        )

    def epochs(self) -> list[int]:
        """Those of all tags."""
        return self.words[_HEAD + _EPOCH :: _EACH].tolist()

    def is_alive(self) -> bool:
        """Whether all tags are live."""
        return self.age() <= LIVE_FOR

    def age(self) -> int:
        """Microseconds since all tags were heard of last; those of an hour where nobody follows."""
        words, now = self.words, _boottime()
        if words[0] != self._boot[0] or words[1] != self._boot[1]:
            return 3600 * SECOND
        oldest = min(words[_HEAD + tag * _EACH] for tag in range(len(TAGS)))
        return now - oldest if 0 < oldest <= now else 3600 * SECOND

    def is_heard(self, tag: int) -> bool:
        """Whether all that happened to a tag until a second ago is known."""
        return self.is_live(tag, self.words[_HEAD + tag * _EACH + _EPOCH])

    def news(self, tag: int) -> int:
        """Counts what was heard of new tokens."""
        news: int = self.words[_HEAD + tag * _EACH + _NEWS]
        return news

    # Whoever follows -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Nothing is live yet. What was said before a reboot is wiped out."""
        words = self.words
        for tag in range(len(TAGS)):
            words[_HEAD + tag * _EACH] = 0
        words[0], words[1] = self._boot

    def set_epoch(self, tag: int, epoch: int) -> None:
        """What was kept before this epoch has to be read again."""
        self.words[_HEAD + tag * _EACH + _EPOCH] = epoch

    def add_news(self, tag: int) -> None:
        """There are new tokens."""
        at = _HEAD + tag * _EACH + _NEWS
        words = self.words
        words[at] = (words[at] + 1) & 0xFFFFFFFF

    def heard(self, tag: int, at: int) -> None:
        """All that had happened until then was heard (microseconds since boot)."""
        self.words[_HEAD + tag * _EACH + _LIVE] = at
