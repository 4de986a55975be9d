"""Opening the session of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from coatcheck.session import Session, open_first
from coatcheck.web.once import MANY_COOKIES

if TYPE_CHECKING:
    from coatcheck.adopt import Origin
    from coatcheck.web.transport import Presented, TokenTransport

_Made = TypeVar("_Made", bound=Session)


def open_presented(
    make: Callable[[str | None], _Made],
    value: str | None,
    transport: TokenTransport,
    log: logging.Logger,
    *,
    load: bool,
) -> _Made:
    """The session of the tokens in a request's header, made by ``make``; new and empty where there is none.

    ``load``: make its data present now.
    """
    return open_tokens(make, transport.presented(value), transport.name, log, load=load)


def open_tokens(
    make: Callable[[str | None], _Made], presented: Presented, name: str, log: logging.Logger, *, load: bool
) -> _Made:
    """The same for tokens that were found already; ``name`` is that of the cookie."""
    tokens, more = presented
    if len(tokens) > 1:
        return open_several(make, tokens, name, log, more=more)
    session = make(tokens[0] if tokens else None)
    if load:
        session.load()
    return session


def open_old(make: Callable[[str | None], _Made], origin: Origin, *, load: bool) -> _Made:
    """The session that was kept elsewhere, which moves in when it is loaded; ``load``: now."""
    session = make(None)
    session.begin_from(origin)
    if load:
        session.load()
    return session


def open_several(
    make: Callable[[str | None], _Made], tokens: list[str], name: str, log: logging.Logger, *, more: bool
) -> _Made:
    """The session of the first token that is live: an invalid one must not hide a valid one. All asked are loaded.

    ``name`` is that of the cookie; ``more``: the request brought others, which are not looked at.
    """
    session = open_first(make, tokens, more=more)
    if more and not session.is_stored:
        MANY_COOKIES.warn(log, name)
    return session
