"""Everything coatcheck raises, in one small tree.

An error carries its evidence as attributes and says the remedy in its text. None of them ever holds a token or
session data. "Missing" (:class:`SessionMissing`) and "cannot be asked" (:class:`StoreUnavailable`) are never the
same thing: only the first may cost a browser its cookie.
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from typing import Any, Final

_MISSING: Final = {
    "unknown": "the store has no such token, or no longer: create a session",
    "expired": "its lifetime is over: create a session",
    "deleted": "it was deleted, as by a logout: create a session",
    "revoked": "it was ended from elsewhere, or for a newer one of its principal: sign in again",
    "retired": "its token has been replaced: use the one that rotate or login returned",
    "forged": "the token was not issued under any secret of this server: do all processes have the same secrets?",
}


class CoatcheckError(Exception):
    """The root of the tree."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Those below build their text from other arguments than `args`: made again by calling the class, as
        # exceptions are by default, they would be another error or none, and take a pool of processes down.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class ConfigurationError(CoatcheckError):
    """Settings, files or permissions that cannot work; the text names what and the remedy."""


class EncryptionKeyMissing(ConfigurationError):
    """Something is sealed under an encryption key that this process does not have; ``key_id`` names it (8 hex digits).

    Nothing is known about the session: it is not missing.
    """

    def __init__(self, key_id: str, known: Sequence[str] = (), message: str | None = None) -> None:
        super().__init__(
            message
            or f"sealed under the encryption key {key_id}, which is not among those of this process "
            f"({', '.join(known) or 'it has none'}): put that key back into COATCHECK_ENCRYPTION_KEYS"
        )
        self.key_id = key_id


class StoreUnavailable(CoatcheckError):
    """The store cannot be asked now; nothing is known about the session.

    ``holder_pid`` and ``held_for`` (seconds) name the process that holds the writer gate, where that is the cause.
    """

    def __init__(self, message: str, *, holder_pid: int | None = None, held_for: float | None = None) -> None:
        super().__init__(message)
        self.holder_pid = holder_pid
        self.held_for = held_for


class StoreFull(StoreUnavailable):
    """No room for anything that grows; deletes, revokes and shrinking saves still work."""


class RequestTimeout(StoreUnavailable):
    """No answer within the deadline (seconds in ``timeout``); whether a write was applied is unknown."""

    def __init__(self, message: str, *, timeout: float | None = None) -> None:
        super().__init__(message)
        self.timeout = timeout


class SessionMissing(CoatcheckError):
    """There is no such live session.

    ``reason`` is one of ``unknown``, ``expired``, ``deleted``, ``revoked``, ``retired`` and ``forged``.
    """

    def __init__(self, reason: str = "unknown") -> None:
        meaning = _MISSING.get(reason)
        super().__init__(f"no live session: {reason}" + (f": {meaning}" if meaning else ""))
        self.reason = reason


class BadToken(SessionMissing):
    """The token was not issued under any secret of this server; refused before any lookup."""

    def __init__(self) -> None:
        super().__init__("forged")


class SessionConflict(CoatcheckError):
    """Somebody else saved in between: ``expected`` and ``found`` are data versions. Load again and repeat."""

    def __init__(self, expected: int | None, found: int | None, message: str | None = None) -> None:
        super().__init__(message or f"the session is at version {found}, not {expected}: load it again and repeat")
        self.expected = expected
        self.found = found


class SessionTooLarge(CoatcheckError):
    """The session would pass its limit; ``key`` is its biggest part, ``size`` and ``limit`` are bytes."""

    def __init__(self, key: str, size: int, limit: int, key_size: int | None = None) -> None:
        part = "" if key_size is None else f" ({key_size} bytes)"
        super().__init__(
            f"session of {size} bytes is over the limit of {limit}; its biggest key is {key!r}{part}: "
            f"keep large things elsewhere and store a reference, or raise the store's max_session_bytes "
            f"(python -m coatcheck.system change --home ... max_session_bytes=N)"
        )
        self.key = key
        self.size = size
        self.limit = limit


class PrincipalLimit(CoatcheckError):
    """The principal has ``limit`` live sessions already, and the policy is ``refuse`` (ASVS 7.1.2)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the principal already has {limit} live sessions: end one first, or use 'evict-oldest'")
        self.limit = limit


class ReauthenticationRequired(CoatcheckError):
    """Nobody has proved within ``max_age`` seconds who they are: ask for the password again (ASVS 7.5.1 to 7.5.3).

    ``age``: seconds since the last time, None: not in this session. ``signed_in``: whether there is a principal.
    """

    def __init__(self, max_age: float, age: float | None = None, *, signed_in: bool = True) -> None:
        since = "nobody is signed in" if not signed_in else "that was not in this session"
        if age is not None:
            since = f"the last login was {age:.0f} s ago"
        super().__init__(
            f"a login within the last {max_age:g} s is needed, and {since}: have the user sign in again, and call "
            f"session.login"
        )
        self.max_age = max_age
        self.age = age
        self.signed_in = signed_in


class CorruptRecord(CoatcheckError):
    """Bytes at rest that cannot be what coatcheck wrote; the text names where, never what."""


class UnstorableValue(CoatcheckError, TypeError):
    """A value that could not be loaded again as it is; ``path`` is like ``cart[3].when``."""

    def __init__(self, path: str, type_name: str, remedy: str) -> None:
        super().__init__(f"cannot store {path}: {type_name}; {remedy}")
        self.path = path
        self.type_name = type_name
        self.remedy = remedy


class ChangeRefused(CoatcheckError, TypeError):
    """A change that does not fit the value it meets, such as an increment of a text; ``key`` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
