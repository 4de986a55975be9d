"""What verbs take: checked by both lanes before anything else happens, so that both say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from coatcheck.lifetimes import Lifetimes

MAX_PRINCIPAL: Final = 512
"""Bytes of the longest principal, in UTF-8."""

_SOME: Final = 3600


def check_mapping(what: str, value: object) -> None:
    """See that a value is a mapping or None. Raises TypeError."""
    if value is not None and not isinstance(value, Mapping):
        msg = f"{what} takes a mapping, not {type(value).__name__}"
        raise TypeError(msg)


def check_changes(verb: str, changes: object) -> None:
    """See that changes are a sequence; what is in it is seen when they are packed. Raises TypeError."""
    if type(changes) is list or type(changes) is tuple:
        return
    if not isinstance(changes, Sequence) or isinstance(changes, (str, bytes)):
        remedy = "use [] for none" if changes is None else "put it in a list"
        msg = f"{verb} takes a sequence of changes, not {type(changes).__name__}: {remedy}"
        raise TypeError(msg)


def check_lifetimes(lifetimes: object) -> None:
    """See that lifetimes are Lifetimes or None. Raises TypeError."""
    if lifetimes is not None and not isinstance(lifetimes, Lifetimes):
        seconds = lifetimes if type(lifetimes) in (int, float) else _SOME
        msg = f"lifetimes takes Lifetimes or None, not {type(lifetimes).__name__}: Lifetimes(idle={seconds})"
        raise TypeError(msg)


def check_version(if_version: object) -> None:
    """See that a version is an int or None. Raises TypeError."""
    if if_version is not None and type(if_version) is not int:
        msg = f"if_version takes an int or None, not {type(if_version).__name__}"
        raise TypeError(msg)


def check_grace(grace: object) -> None:
    """See that a grace is a number. Raises TypeError."""
    if type(grace) is not float and (isinstance(grace, bool) or not isinstance(grace, (int, float))):
        msg = f"grace takes seconds as a number, not {type(grace).__name__}"
        raise TypeError(msg)


def check_principal(principal: str) -> str:
    """A principal as it may be. Raises TypeError and ValueError."""
    if not isinstance(principal, str):
        msg = f"a principal is a str, not {type(principal).__name__}: use str(user.id)"
        raise TypeError(msg)
    if not principal or len(principal.encode("utf-8", "surrogatepass")) > MAX_PRINCIPAL:
        msg = f"a principal has 1 to {MAX_PRINCIPAL} bytes: use the id of the user, not the user"
        raise ValueError(msg)
    return principal


def sid_bytes(sid: str) -> bytes:
    """The 16 bytes of a sid. Raises ValueError for what is none."""
    try:
        identity = bytes.fromhex(sid)
    except (ValueError, TypeError):
        identity = b""
    if len(identity) != 16:
        msg = "a sid has 32 hex digits; a handle is not enough here"
        raise ValueError(msg)
    return identity
