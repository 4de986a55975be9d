"""The end of a request: commit, or take back, and what that means for the response."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck.errors import CoatcheckError
from coatcheck.store.gate import GateBusy
from coatcheck.web.answer import token_action, vary_by
from coatcheck.web.clearing import CLEAR_SITE_DATA
from coatcheck.web.once import OVER_HTTP

if TYPE_CHECKING:
    from coatcheck.web.options import WebOptions
    from coatcheck.web.session import WebSession

Headers = list[tuple[str, str]]

FAILED: Final = 500
"""From this status on a request has failed: nothing of it reaches the store."""


class Settled(NamedTuple):
    """What a response has to say about its session."""

    token: tuple[str, str] | None
    """A header that brings or takes the token."""

    varies: bool
    """Whether it depends on the session."""

    removals: Sequence[str] = ()
    """Values of further ``Set-Cookie`` headers, which remove the cookies of another store."""

    logged_out: bool = False
    """Whether somebody has signed out."""


def settle(session: WebSession, options: WebOptions, status: int) -> Settled:
    """Commit the session of a response that is about to leave, with this status; from 500 on take everything back.

    Raises what ``commit`` raises; then everything was taken back. May be called again when it has raised GateBusy.
    """
    if status >= FAILED:
        session.abandon()
        session.seal()
        if session.origin is None and session.token is not None and session.cookie == "set":
            # Of a commit by hand, before it failed: without it the browser would be left with a token that is retired.
            return Settled(options.token_header(session), varies=True)
        return Settled(None, session.accessed)
    try:
        session.commit()
    except GateBusy:
        raise
    except CoatcheckError:
        session.abandon()
        raise
    action = token_action(session, session.refreshes)
    session.seal()
    if action == "leave":
        return Settled(None, session.accessed, logged_out=session.logged_out)
    header = options.token_header(session) if action == "set" else options.transport.removal()
    return Settled(header, varies=True, removals=options.removals(session), logged_out=session.logged_out)


def headers_of(
    settled: Settled, options: WebOptions, present: Callable[[str], list[str]], *, streams: bool
) -> tuple[Headers, set[str]]:
    """The headers that the response gets, and the names (lower case) of those that they replace.

    ``present``: the values of the response's own headers of a name. ``streams``: whether what comes after its headers
    may yet depend on the session.
    """
    added: Headers = []
    replaced: set[str] = set()
    if settled.token is not None:
        added.append(settled.token)
        by_cookie = settled.token[0].lower() == "set-cookie"
        if not by_cookie:
            replaced.add(settled.token[0].lower())
        added += [("Set-Cookie", value) for value in settled.removals]
        # Shared caches know what Set-Cookie is. In any other header they would hand a token to the next visitor.
        if options.no_store or not by_cookie:
            added.append(("Cache-Control", "no-store"))
            replaced.add("cache-control")
    if settled.logged_out and options.clearing is not None and not present(CLEAR_SITE_DATA):
        added.append((CLEAR_SITE_DATA, options.clearing))
    # A stream that reads the session when the headers have left: a cache would show it to whoever comes next.
    varies = settled.varies or streams
    vary = vary_by(options.transport.request_header, present("Vary")) if varies else None
    if vary is not None:
        added.append(("Vary", vary))
        replaced.add("vary")
    return added, replaced


def commit_leftovers(session: WebSession, log: logging.Logger, where: Callable[[], str]) -> None:
    """Save what was written after the headers had left, as by a stream. What cannot be saved any more is logged."""
    if not session.has_leftovers():
        return
    try:
        session.commit()
    except GateBusy:
        raise
    except (CoatcheckError, RuntimeError) as error:
        session.abandon()
        log.warning("%s: what was written to the session after the headers had left is lost: %s", where(), error)


def warn_of_http(settled: Settled, options: WebOptions, log: logging.Logger, *, over_http: Callable[[], bool]) -> None:
    """Say once that browsers drop this cookie; ``over_http``: whether the request came so, from elsewhere."""
    if settled.token is not None and options.secure and over_http():
        OVER_HTTP.warn(log, "tell the server of your proxy (uvicorn: --proxy-headers)", "https_only=False")
