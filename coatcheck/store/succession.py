"""What a rotation and a login make of a session, in whichever store; where its tokens are kept is that store's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck.clock import microseconds
from coatcheck.store.arguments import check_grace
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.tables import GRACE, RETIRED
from coatcheck.store.token_table import ENDED_KEPT

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.draft import Draft

MOST_GRACES: Final = 8
"""Tokens in grace that one session may have; a further rotation ends the oldest."""


class Buried(NamedTuple):
    """A token that is to be put out of use, or into its grace."""

    token_hash: bytes
    state: int
    since: int
    """Microseconds UTC: when it was retired, or when its grace ends."""


def checked_grace(grace: float) -> int:
    """The grace of a rotation, in microseconds. Raises TypeError and ValueError for one that cannot be."""
    check_grace(grace)
    if not 0 <= grace <= ENDED_KEPT / 1e6:
        msg = f"grace is {grace!r}: use seconds from 0 to {ENDED_KEPT // 1_000_000}"
        raise ValueError(msg)
    return microseconds(grace)


def succeed(draft: Draft, new_hash: bytes, now: int, grace: int) -> list[Buried]:
    """Make another token the session's own; what becomes of the others, in order. ``grace`` is in microseconds."""
    old_hash = draft.token_hash
    graces = [each for each in draft.variable.graces if now < each[1]]
    # A clock that is set back must not bring a grace back that no login would know of.
    buried = [Buried(token_hash, RETIRED, now) for token_hash, until in draft.variable.graces if until <= now]
    if grace:
        buried.append(Buried(old_hash, GRACE, now + grace))
        graces.append([old_hash, now + grace])
        buried += [Buried(token_hash, RETIRED, now) for token_hash, _ in graces[:-MOST_GRACES]]
        del graces[:-MOST_GRACES]
    else:
        buried.append(Buried(old_hash, RETIRED, now))
    draft.variable = draft.variable._replace(graces=graces)
    draft.token_hash = new_hash
    return buried


def end_graces(draft: Draft, now: int) -> list[Buried]:
    """End every grace: otherwise a token planted before the login would be a token of the user after it."""
    buried = [Buried(token_hash, RETIRED, now) for token_hash, _ in draft.variable.graces]
    draft.variable = draft.variable._replace(graces=[])
    return buried


def forget_another(draft: Draft, principal: str) -> None:
    """Another user on the same browser: nothing of the one before may be seen."""
    if draft.principal not in (None, principal):
        draft.clear()
        draft.replace_flashes([])
        draft.keep_takes([])
        draft.meta = b""


def begin_term(draft: Draft, now: int, lifetimes: Lifetimes | None, usual: Lifetimes) -> None:
    """The absolute lifetime begins again; ``lifetimes`` are this login's, ``usual`` those of who is signed in."""
    draft.started = now
    if lifetimes is not None:
        draft.flags |= OWN_LIFETIMES
    if lifetimes is not None or not draft.flags & OWN_LIFETIMES:
        draft.idle, draft.absolute, draft.touch_interval = lifetimes_in_microseconds(lifetimes or usual)
