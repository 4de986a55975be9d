"""The cookie rules, for all integrations: what the session cookie is called, what it looks like, who sent one.

A framework has settings of its own; its integration turns them into :class:`CookieRules` and leaves the rest to this
module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import ConfigurationError
from coatcheck.tokens import TOKEN_LENGTH

MOST_PRESENTED: Final = 8
"""How many cookies of the session's name are looked at in one request."""

LONGEST: Final = 400 * 86_400
"""Seconds that a cookie may live at most; browsers cut longer ones (RFC 6265bis, 5.5)."""

LARGEST: Final = 4096
"""Characters of name and value that browsers keep (RFC 6265bis, 5.6; ASVS 3.3.5)."""

_BLANKS: Final = " \t"
_AROUND: Final = _BLANKS + '"'
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH: Final = re.compile(r"/[!-:<-~]{0,1023}")
_DOMAIN: Final = re.compile(r"(?=.{1,254}\Z)\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_SAMESITE: Final = {"lax": "Lax", "strict": "Strict", "none": "None"}


@dataclass(frozen=True)
class CookieRules:
    """How the session cookie is written. Raises ConfigurationError for what a browser would refuse."""

    name: str | None = None
    """Its name; None: as :func:`default_name` says."""

    secure: bool = True
    """Only over https, and to localhost (ASVS 3.3.1)."""

    httponly: bool = True
    """Out of reach for scripts (ASVS 3.3.4)."""

    samesite: str | None = "Lax"
    """``Lax``, ``Strict`` or ``None``, as text; None leaves the attribute out (ASVS 3.3.2)."""

    domain: str | None = None
    """None: this host alone, no subdomain."""

    path: str = "/"
    """Where on the host it is sent."""

    partitioned: bool = False
    """One cookie jar per embedding site (CHIPS)."""

    def __post_init__(self) -> None:
        """Check every attribute by itself, and that they go together."""
        if self.samesite is not None:
            known = _SAMESITE.get(str(self.samesite).lower())
            if known is None:
                msg = f"the session cookie's SameSite is {self.samesite!r}: use 'Lax', 'Strict' or 'None'"
                raise ConfigurationError(msg)
            object.__setattr__(self, "samesite", known)
        if self.name is None:
            object.__setattr__(self, "name", default_name(secure=self.secure, domain=self.domain, path=self.path))
        if not _NAME.fullmatch(str(self.name)):
            msg = f"the session cookie's name is {self.name!r}: use letters, digits, '-' and '_'"
            raise ConfigurationError(msg)
        if len(str(self.name)) + TOKEN_LENGTH > LARGEST:
            msg = f"the session cookie's name is longer than browsers keep, at most {LARGEST - TOKEN_LENGTH} characters"
            raise ConfigurationError(msg)
        if self.domain and not _DOMAIN.fullmatch(str(self.domain)):
            msg = (
                f"the session cookie's domain is {self.domain!r}: use a host name such as 'example.org', without "
                f"scheme and port; an international one in its ASCII form (xn--...)"
            )
            raise ConfigurationError(msg)
        if not _PATH.fullmatch(str(self.path)):
            msg = (
                f"the session cookie's path is {self.path!r}: it begins with '/', has at most 1024 characters of "
                f"ASCII, and neither blanks nor ';'"
            )
            raise ConfigurationError(msg)
        self._check_prefix()
        if not self.secure and (self.samesite == "None" or self.partitioned):
            what = "Partitioned" if self.partitioned else "SameSite=None"
            msg = f"browsers refuse a cookie with {what} that is not Secure: turn secure on"
            raise ConfigurationError(msg)

    def _check_prefix(self) -> None:
        name = str(self.name).lower()
        if name.startswith(("__host-", "__secure-")) and not self.secure:
            msg = f"browsers refuse a cookie named {self.name} that is not Secure: turn secure on, or name it 'id'"
            raise ConfigurationError(msg)
        if name.startswith("__host-") and (self.domain or self.path != "/"):
            msg = f"browsers refuse a cookie named {self.name} with a Domain or a Path but '/': name it __Secure-id"
            raise ConfigurationError(msg)

    def header(self, token: str, max_age: int | None = None) -> str:
        """The value of a ``Set-Cookie`` header; ``max_age`` in seconds, None: until the browser is closed."""
        age = "" if max_age is None else f"; Max-Age={min(max(0, max_age), LONGEST)}"
        return f"{self.name}={token}{age}{self._attributes()}"

    def removal(self) -> str:
        """The value of a ``Set-Cookie`` header that removes it. All attributes again, or browsers keep the cookie."""
        return f"{self.name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0{self._attributes()}"

    def _attributes(self) -> str:
        return "".join(
            (
                f"; Domain={self.domain.lstrip('.')}" if self.domain else "",
                "; Secure" if self.secure else "",
                "; HttpOnly" if self.httponly else "",
                f"; Path={self.path}",
                f"; SameSite={self.samesite}" if self.samesite else "",
                "; Partitioned" if self.partitioned else "",
            )
        )


def default_name(*, secure: bool, domain: str | None = None, path: str = "/") -> str:
    """``__Host-id``, the name that no subdomain and no plain http page can plant.

    ``__Secure-id`` where a Domain or Path rules that out, ``id`` where the cookie is not Secure. None of them tells
    which software is at work (OWASP Session Management, session ID name).
    """
    if not secure:
        return "id"
    return "__Secure-id" if domain or path != "/" else "__Host-id"


def presented(header: str | None, name: str) -> list[str]:
    """The values of all cookies of that name in a ``Cookie`` header, in order, at most :data:`MOST_PRESENTED`.

    Several are possible, for one path or domain each. An invalid one must not hide a valid one, so try them all.
    """
    return _presented(header, name)[:MOST_PRESENTED]


def more_presented(header: str | None, name: str) -> bool:
    """Whether there are more than :func:`presented` answers: then the valid one may be among those not looked at."""
    return len(_presented(header, name)) > MOST_PRESENTED


def _presented(header: str | None, name: str) -> list[str]:
    if not header:
        return []
    before, found, rest = header.partition(f"{name}=")
    if not found:
        return []
    if (not before or before[-2:] == "; ") and name not in rest:
        # As nearly all browsers always send it: once, and with nothing around it.
        value = rest.partition(";")[0]
        if value and value[0] not in _AROUND and value[-1] not in _AROUND:
            return [value]
    values = []
    # Split at ';' alone, and strip nothing but blanks. With ',' or Unicode spaces a cookie that a subdomain may set
    # would pass for one whose __Host- prefix says that it was set here.
    for pair in header.split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.lstrip(_BLANKS) == name:
            value = value.strip(_BLANKS)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if value:
                values.append(value)
    return values
