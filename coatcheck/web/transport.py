"""How a token travels between browser and server: in a cookie, or in a header for clients that keep no cookies."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol

from coatcheck import cookies
from coatcheck.cookies import CookieRules
from coatcheck.errors import ConfigurationError

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_A_TOKENS_PLACE: Final = re.compile(
    "(?:set-)?cookie2?|authorization|host|vary|content-.*|proxy-.*|sec-.*|access-control-.*|accept.*|x-forwarded-.*|"
    "cache-control|connection|date|etag|expect|forwarded|keep-alive|last-modified|location|origin|referer|server|te|"
    "trailer|transfer-encoding|upgrade|user-agent|via|www-authenticate",
    re.IGNORECASE,
)
"""Headers that mean something else: to whoever is in between, a token in them is no secret, or a message of its own."""


class Presented(NamedTuple):
    """The tokens that a request brought."""

    tokens: list[str]
    """In order, at most :data:`coatcheck.cookies.MOST_PRESENTED`."""

    more: bool
    """Whether there were others, which are not looked at."""


class TokenTransport(Protocol):
    """What an integration asks of the way the token travels."""

    @property
    def name(self) -> str:
        """The name under which the token travels, for the log."""

    @property
    def request_header(self) -> str:
        """The header of a request that brings it; a response that depends on the session varies by it."""

    def presented(self, value: str | None) -> Presented:
        """The tokens in that header; ``value`` is None where the request has no such header."""

    def issue(self, token: str, max_age: int | None) -> tuple[str, str]:
        """Name and value of the response header that brings a token; ``max_age`` in seconds."""

    def removal(self) -> tuple[str, str]:
        """Name and value of the response header that takes the token away."""


class CookieTransport:
    """The token in a cookie, as :class:`coatcheck.cookies.CookieRules` say."""

    request_header = "Cookie"

    def __init__(self, rules: CookieRules) -> None:
        self.rules = rules
        self.name = str(rules.name)

    def presented(self, value: str | None) -> Presented:
        """The values of all cookies of the name."""
        tokens = cookies.presented(value, self.name)
        return Presented(tokens, len(tokens) == cookies.MOST_PRESENTED and cookies.more_presented(value, self.name))

    def issue(self, token: str, max_age: int | None) -> tuple[str, str]:
        """``Set-Cookie``, with all attributes."""
        return "Set-Cookie", self.rules.header(token, max_age)

    def removal(self) -> tuple[str, str]:
        """``Set-Cookie`` again, with the same attributes and a date in the past."""
        return "Set-Cookie", self.rules.removal()


class HeaderTransport:
    """The token in a header of request and response, for clients that keep it themselves.

    A response brings a new token only when there is one; an empty value says that the token is worth nothing any more.
    """

    def __init__(self, name: str) -> None:
        """Raises ConfigurationError for what is no header, or another's."""
        if not isinstance(name, str) or not _NAME.fullmatch(name) or _NOT_A_TOKENS_PLACE.fullmatch(name):
            msg = f"token_header is {name!r}: use a header of its own, such as 'X-Session-Token'"
            raise ConfigurationError(msg)
        self.name = self.request_header = name

    def presented(self, value: str | None) -> Presented:
        """The header's value."""
        value = (value or "").strip(" \t")
        return Presented([value] if value else [], more=False)

    def issue(self, token: str, max_age: int | None) -> tuple[str, str]:  # noqa: ARG002 - the client asks, or is told
        """The header with the token."""
        return self.name, token

    def removal(self) -> tuple[str, str]:
        """The header without one."""
        return self.name, ""
