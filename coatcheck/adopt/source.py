"""What a store of old sessions has to tell, and what all of them have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from coatcheck.cookies import CookieRules
from coatcheck.errors import ConfigurationError
from coatcheck.store.arguments import check_principal

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage

_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,200}")


class Unreadable(Exception):
    """There is a session, but not in a form that may be read; the text says why, and never what is in it."""


@dataclass(frozen=True, kw_only=True)
class LegacySession:
    """A session as the other store had it."""

    data: Mapping[str, Any]
    """Without what the other fields say."""

    principal: str | None = None
    """Who is signed in, where the source can tell."""

    flashes: Sequence[FlashMessage] = ()
    """Messages that wait, oldest first."""

    expires_at: float | None = None
    """Seconds since 1970, UTC; None: it is not known, and the session is live."""


class LegacySource(Protocol):
    """A store of old sessions."""

    @property
    def name(self) -> str:
        """For counters, the log and the ``adopted_from`` of a session's meta. Never changed: tokens depend on it."""

    @property
    def cookie(self) -> CookieRules:
        """The cookie that held the id, with the attributes that remove it."""

    @property
    def sliding(self) -> bool:
        """Whether use prolonged a session. If not, it ends at the latest when it would have ended there."""

    def id_of(self, value: str) -> str | None:
        """The id in a cookie's value; None for what cannot be one, or is not signed as it should be."""

    def read(self, legacy_id: str) -> LegacySession | None:
        """The session; None when there is none. Raises Unreadable; any other error is an outage."""

    def remove(self, legacy_id: str) -> bool:
        """Remove it; whether there was one. True where the store cannot tell."""


class Source:
    """What the sources here share: the cookie, the principal, and who may be unpickled."""

    sliding = True

    def __init__(
        self,
        *,
        name: str,
        cookie_name: str,
        cookie_domain: str | None = None,
        cookie_path: str = "/",
        cookie_secure: bool = False,
        principal_key: str = "",
        convert: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        allow_pickle: bool = False,
    ) -> None:
        """``cookie_...``: as the old cookie was set. ``principal_key``: the key of the data that says who is signed in.

        ``convert`` makes data that can be stored of data that cannot, or may leave some out. ``allow_pickle``: the old
        store holds pickles, and nobody but the application could ever write to it; whoever can write a pickle there can
        run code here, though only plain types are let through.
        """
        self.name = name
        self.cookie = CookieRules(
            name=cookie_name, domain=cookie_domain, path=cookie_path, secure=cookie_secure, samesite=None
        )
        self.principal_key = principal_key
        self.convert = convert
        self.allow_pickle = allow_pickle

    def id_of(self, value: str) -> str | None:
        """The value itself, if it has the form of an id."""
        return value if _ID.fullmatch(value) else None

    def needs_pickle(self, what: str) -> None:
        """Raise ConfigurationError unless pickles are allowed."""
        if not self.allow_pickle:
            msg = (
                f"{what} holds pickles: say {type(self).__name__}(..., allow_pickle=True) if nobody but the "
                f"application could ever write to it, or leave it out, and its users sign in again"
            )
            raise ConfigurationError(msg)

    def session_of(
        self, data: object, expires_at: float | None = None, flashes: Sequence[FlashMessage] = ()
    ) -> LegacySession:
        """A session of decoded data. Raises Unreadable where that is no mapping."""
        if not isinstance(data, Mapping):
            msg = f"it is {type(data).__name__}, not a mapping"
            raise Unreadable(msg)
        values = dict(data)
        user = values.get(self.principal_key) if self.principal_key else None
        if self.convert is not None:
            values = dict(self.convert(values))
        principal = None if user is None or user == "" else str(user)
        if principal is not None:
            try:
                check_principal(principal)
            except ValueError as error:
                raise Unreadable(str(error)) from None
        return LegacySession(
            data=values,
            principal=principal,
            flashes=flashes,
            expires_at=expires_at,
        )
