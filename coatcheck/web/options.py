"""What a middleware is told: the client, the token's way, how long sessions live; for ASGI and WSGI the same."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from coatcheck.adopt import Adopter
from coatcheck.client import SessionClient, connect
from coatcheck.cookies import CookieRules
from coatcheck.errors import ConfigurationError
from coatcheck.store.files import check_home
from coatcheck.web.answer import max_age
from coatcheck.web.clearing import clear_site_data as header_value
from coatcheck.web.secure import as_secure, secure_in_environment
from coatcheck.web.transport import CookieTransport, HeaderTransport, TokenTransport

if TYPE_CHECKING:
    from coatcheck.adopt import Origin
    from coatcheck.session import Session


class Unset(Enum):
    """An argument that was left out, where None means something."""

    UNSET = "coatcheck's own"


UNSET: Final = Unset.UNSET

_LONGEST: Final = 100 * 365 * 86_400

_log = logging.getLogger("coatcheck.web")


@dataclass(frozen=True)
class WebOptions:
    """The arguments of a middleware, checked."""

    client: SessionClient
    """Where the sessions are."""

    transport: TokenTransport
    """How the token travels."""

    lifetime: float | None
    """Seconds: the idle lifetime of sessions, and the absolute one where it is longer; None: as the settings say."""

    browser_session: bool
    """Whether the cookie is gone when the browser is closed."""

    no_store: bool
    """Whether responses that bring a token say ``Cache-Control: no-store``."""

    owns_client: bool
    """Whether the client was made here, and is closed with the application."""

    adopter: Adopter | None = None
    """Takes over the sessions of other stores; see :mod:`coatcheck.adopt`."""

    clearing: str | None = None
    """The value of ``Clear-Site-Data`` in the response to a logout; None: there is none."""

    @property
    def secure(self) -> bool:
        """Whether a browser sends the token back over https only."""
        return isinstance(self.transport, CookieTransport) and self.transport.rules.secure

    def token_header(self, session: Session) -> tuple[str, str]:
        """The response header with the session's token."""
        age = None if self.browser_session else max_age(session, self.client.clock.now())
        return self.transport.issue(str(session.token), age)

    def may_be_old(self, cookie_header: str | None) -> bool:
        """Whether the request may bring the cookie of a session of another store. Opens nothing."""
        return self.adopter is not None and self.adopter.is_concerned(cookie_header)

    def origin_of(self, cookie_header: str | None) -> Origin | None:
        """Where the session of the request was kept before; None: nowhere else. May open the store."""
        if self.adopter is None:
            return None
        return self.adopter.origin_of(self.client, cookie_header, self.transport.name)

    def removals(self, session: Session) -> list[str]:
        """``Set-Cookie`` values that remove the cookies under which the session was known elsewhere."""
        origin, transport = session.origin, self.transport
        if origin is None or not isinstance(transport, CookieTransport):
            return []
        rules = transport.rules
        return origin.removals(str(rules.name), rules.domain, rules.path)


def web_options(
    *,
    secret_key: object,
    session_cookie: str | None,
    max_age: float | Unset | None,
    path: str,
    same_site: str | None,
    https_only: bool | None,
    domain: str | None,
    partitioned: bool,
    token_header: str | None,
    no_store: bool,
    clear_site_data: Any,
    adopt: Any,
    client: SessionClient | None,
    home: str | os.PathLike[str] | None,
    **settings: Any,
) -> WebOptions:
    """Check the arguments of a middleware; opens nothing. Raises ConfigurationError for what cannot work."""
    given = {"home": home, **settings}
    given = {name: value for name, value in given.items() if value is not None}
    if client is not None and given:
        msg = f"the middleware takes a client, or the settings for one ({', '.join(sorted(given))}), not both"
        raise ConfigurationError(msg)
    if secret_key is not None:
        _log.info(
            "secret_key is accepted and not used: the browser holds a ticket instead of signed data, and tickets are "
            "made under the secrets of the state directory (COATCHECK_SECRET)"
        )
    transport: TokenTransport
    if token_header is None:
        secure = as_secure(secure_in_environment() if https_only is None else https_only)
        transport = CookieTransport(
            CookieRules(
                name=session_cookie,
                secure=secure,
                samesite=same_site,
                domain=domain,
                path=path,
                partitioned=partitioned,
            )
        )
    else:
        transport = HeaderTransport(token_header)
    adopter = _adopter(adopt, token_header)
    clearing = header_value(clear_site_data)
    lifetime = None if max_age is UNSET else _lifetime(max_age)
    connected = connect(**given) if client is None else client
    check_home(connected.settings.home)
    return WebOptions(
        client=connected,
        transport=transport,
        lifetime=lifetime,
        browser_session=max_age is None,
        no_store=bool(no_store),
        owns_client=client is None,
        adopter=adopter,
        clearing=clearing,
    )


def _adopter(adopt: Any, token_header: str | None) -> Adopter | None:
    sources = adopt if isinstance(adopt, (list, tuple)) else [] if adopt is None else [adopt]
    if not sources:
        return None
    if token_header is not None:
        msg = "adopt takes over sessions by their cookies, but there is a token_header: use one of them"
        raise ConfigurationError(msg)
    for source in sources:
        if not all(hasattr(source, name) for name in ("name", "cookie", "sliding", "id_of", "read", "remove")):
            msg = f"adopt has a {type(source).__name__}: use a source as coatcheck.adopt has them"
            raise ConfigurationError(msg)
    return Adopter(sources)


def _lifetime(max_age: Any) -> float | None:
    if max_age is None:
        return None
    if isinstance(max_age, bool) or not isinstance(max_age, (int, float)) or not 0 < max_age <= _LONGEST:
        msg = (
            f"max_age is {max_age!r}: use a number of seconds, above 0 and at most a hundred years; None for a cookie "
            "that is gone with the browser"
        )
        raise ConfigurationError(msg)
    return max_age
