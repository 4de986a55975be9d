"""Warnings that a server says once, however many requests meet their cause."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from coatcheck.cookies import MOST_PRESENTED


class Once:
    """A warning for the log, said by whichever thread comes first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._not_yet = threading.Lock()  # taken for good by the thread that warns

    def warn(self, log: logging.Logger, *arguments: Any) -> None:
        """Say it, unless it was said."""
        if self._not_yet.acquire(blocking=False):
            log.warning(self._text, *arguments)

    def forget(self) -> None:
        """It may be said once more; for tests."""
        self._not_yet = threading.Lock()


OVER_HTTP: Final = Once(
    "a Secure session cookie was set over plain http: a browser will not send this cookie back over http: use https, "
    "%s, or %s while developing"
)

MANY_COOKIES: Final = Once(
    f"a request brought more than {MOST_PRESENTED} cookies named %s, and the first {MOST_PRESENTED} have no session: "
    "its cookie is left alone, and what it stored is dropped; find out what sets cookies of that name for other paths "
    "and domains"
)
