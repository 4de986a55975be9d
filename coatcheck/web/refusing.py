"""Answers in the place of an application's, where it leaves an error of its session to the middleware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CoatcheckError, ReauthenticationRequired, StoreUnavailable
from coatcheck.web.answer import RETRY_AFTER

if TYPE_CHECKING:
    from logging import Logger

ANSWERED: Final = (StoreUnavailable, ReauthenticationRequired)
"""The errors that have an answer. All others are the server's business."""


@dataclass(frozen=True)
class Refusal:
    """An answer in plain text."""

    status: int
    """Of the response."""

    phrase: str
    """Its name, for WSGI."""

    body: bytes
    """What it says."""

    close_code: int
    """The same for a websocket (RFC 6455, 7.4.1)."""

    headers: tuple[tuple[str, str], ...] = ()
    """Those of its own."""

    def all_headers(self) -> list[tuple[str, str]]:
        """Of its own, and those of any."""
        return [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", "no-store"),
            *self.headers,
        ]


UNAVAILABLE: Final = Refusal(
    503,
    "Service Unavailable",
    b"Sessions cannot be reached at the moment. Nothing was changed; please try again.\n",
    1013,
    (("Retry-After", str(RETRY_AFTER)),),
)
SIGN_IN_AGAIN: Final = Refusal(403, "Forbidden", b"Sign in again first.\n", 1008)


def refusal_of(error: CoatcheckError, log: Logger) -> Refusal:
    """The answer to one of the errors that have one. Slow or down is not logged out: no answer touches a cookie."""
    if isinstance(error, StoreUnavailable):
        log.error("no session: %s", error)
        return UNAVAILABLE
    return SIGN_IN_AGAIN
