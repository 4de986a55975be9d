"""Who is acting on sessions that are not his own: an operator, whom the audit names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

LONGEST: Final = 128
"""Characters of a name that are kept."""

_who: Final[ContextVar[str | None]] = ContextVar("coatcheck_acting_as", default=None)


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """Inside, what is done to sessions and to the store is done by ``who``: each audit event of it says so, as ``by``.

    For pages and commands with which people end the sessions of others, or sign in as somebody else::

        with coatcheck.acting_as("ann@support"):
            client.revoke("user-42")

    In the a-twins, too; but not on the actor lane, where the name does not reach the manager. Raises ValueError for an
    empty name.
    """
    if not isinstance(who, str) or not who.strip():
        msg = f"acting_as takes the name of who acts, not {who!r}"
        raise ValueError(msg)
    before = _who.set(who.strip()[:LONGEST])
    try:
        yield
    finally:
        _who.reset(before)


def acting() -> str | None:
    """Who acts here, where somebody has said so."""
    return _who.get()


def operator() -> str:
    """Who acts here; where nobody has said so, the user of this process."""
    who = _who.get()
    if who is not None:
        return who
    uid = os.geteuid()
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"uid {uid}"
