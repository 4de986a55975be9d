"""One-time links: whoever can write into the state directory may sign in to the dashboard, once for each link.

A link carries 32 random bytes. In the state directory there is a file for it, named by the hash of them: so whoever
reads the directory cannot sign in, a dashboard that was started anew still knows the link, and removing the file, which
only one of two can do, is using it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck.clock import SECOND, Clock, SystemClock
from coatcheck.store.files import write_private

LIFETIME: Final = 600
"""Seconds in which a link has to be used."""

DIRECTORY: Final = "dashboard-links"
"""In the state directory."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Link:
    """What is known of a link that was good."""

    who: str
    """The user of this machine who made it: who did something is written down under this name."""


class Links:
    """The links of one state directory, which exists."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._directory = home / DIRECTORY
        self._clock = clock or SystemClock()

    def new(self, who: str, lifetime: float = LIFETIME) -> str:
        """The token of a new link, good for ``lifetime`` seconds. Old ones that were never used are forgotten."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._forget_old()
        token = secrets.token_urlsafe(32)
        until = self._clock.now() + round(lifetime * SECOND)
        write_private(self._path(token), json.dumps({"until": until, "who": who}) + "\n")
        return token

    def use(self, token: str) -> Link | None:
        """The link of a token, which is used up then; None for one that is unknown, used or too old."""
        if not _TOKEN.fullmatch(token):
            return None
        path = self._path(token)
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            # Of two who come at once only one can remove it.
            path.unlink()
            until, who = int(known["until"]), str(known["who"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Link(who) if self._clock.now() < until else None

    def _path(self, token: str) -> Path:
        return self._directory / hashlib.blake2b(token.encode("ascii"), digest_size=16, person=b"dashboard").hexdigest()

    def _forget_old(self) -> None:
        for path in self._directory.iterdir():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if int(json.loads(path.read_text(encoding="utf-8"))["until"]) <= self._clock.now():
                    path.unlink()
