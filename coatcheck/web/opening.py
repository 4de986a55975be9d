"""Opening the session of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from coatcheck.session import Session, open_first
from coatcheck.web.once import MANY_COOKIES

if TYPE_CHECKING:
    from coatcheck.web.transport import Presented

_Made = TypeVar("_Made", bound=Session)


def open_presented(
    make: Callable[[str | None], _Made], presented: Presented, name: str, log: logging.Logger, *, load: bool
) -> _Made:
    """The session of the tokens that were presented, made by ``make``; new and empty where there is none.

    ``name`` is that of the cookie; ``load``: make the data present now.
    """
    tokens, more = presented
    if len(tokens) > 1:
        return open_several(make, tokens, name, log, more=more)
    session = make(tokens[0] if tokens else None)
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
