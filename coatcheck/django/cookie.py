"""The session cookie as Django's settings describe it, and as it gets into a response and out of a request."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from coatcheck import cookies
from coatcheck.cookies import CookieRules
from coatcheck.django.config import SETTING, get_options
from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

ENGINE: Final = "coatcheck.django.sessions"
_LONG_AGO: Final = "Thu, 01 Jan 1970 00:00:00 GMT"


class _PartitionedMorsel(Morsel):  # type: ignore[type-arg]
    """A cookie with an attribute that Python's cookies know since 3.14."""

    _reserved = {**Morsel._reserved, "partitioned": "Partitioned"}  # type: ignore[attr-defined]  # noqa: RUF012, SLF001
    _flags = {*Morsel._flags, "partitioned"}  # type: ignore[attr-defined]  # noqa: RUF012, SLF001


def rules_of_settings() -> CookieRules:
    """The cookie rules. What the application has set counts; Django's untouched defaults yield to coatcheck's own.

    Raises ImproperlyConfigured for a cookie that browsers would refuse.
    """
    options = get_options()
    secure = bool(settings.SESSION_COOKIE_SECURE) if settings.is_overridden("SESSION_COOKIE_SECURE") else options.secure
    named = settings.SESSION_COOKIE_NAME if settings.is_overridden("SESSION_COOKIE_NAME") else options.cookie_name
    try:
        return CookieRules(
            name=named,
            secure=secure,
            httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
            samesite=settings.SESSION_COOKIE_SAMESITE or None,
            domain=settings.SESSION_COOKIE_DOMAIN or None,
            path=settings.SESSION_COOKIE_PATH or "/",
            partitioned=options.partitioned,
        )
    except ConfigurationError as error:
        msg = f"SESSION_COOKIE_* and {SETTING}: {error}"
        raise ImproperlyConfigured(msg) from error


class _Rules:
    """The rules, until a setting changes."""

    def __init__(self) -> None:
        self.known: CookieRules | None = None

    def forget(self, *, setting: str, **_: Any) -> None:
        """A test has changed a setting."""
        if setting == SETTING or setting.startswith("SESSION_"):
            self.known = None


_rules: Final = _Rules()
setting_changed.connect(_rules.forget)


def get_rules() -> CookieRules:
    """The rules, read once."""
    if _rules.known is None:
        _rules.known = rules_of_settings()
    return _rules.known


def yield_defaults() -> None:
    """Put coatcheck's own defaults in the place of those of Django that the application has not touched.

    So Django's middleware, its test client, its pages for debugging, and other packages that read
    ``settings.SESSION_COOKIE_NAME`` mean the same cookie as coatcheck does.
    """
    if settings.SESSION_ENGINE != ENGINE:
        return
    rules = rules_of_settings()
    for name, value in (("SESSION_COOKIE_NAME", rules.name), ("SESSION_COOKIE_SECURE", rules.secure)):
        if not settings.is_overridden(name):
            setattr(settings, name, value)


def presented(request: HttpRequest, name: str) -> tuple[list[str], bool]:
    """The values of all session cookies of a request, and whether there are more.

    ``request.COOKIES`` has only the last of several with one name, which may not be the valid one.
    """
    header = request.META.get("HTTP_COOKIE")
    tokens = cookies.presented(header, name)
    if len(tokens) > 1:
        return tokens, len(tokens) == cookies.MOST_PRESENTED and cookies.more_presented(header, name)
    token = request.COOKIES.get(name)
    return ([token] if token else []), False


def set_cookie(response: HttpResponseBase, rules: CookieRules, token: str, max_age: int | None) -> None:
    """Bring the browser a token; ``max_age`` in seconds, None: until the browser is closed."""
    if max_age is not None:
        max_age = min(max(0, max_age), cookies.LONGEST)
    _put(response, rules, token, max_age=max_age)


def remove_cookie(response: HttpResponseBase, rules: CookieRules) -> None:
    """Take the token away. All attributes again, or browsers keep the cookie."""
    _put(response, rules, "", max_age=0, expires=_LONG_AGO)


def remove_others(response: HttpResponseBase, removals: list[str]) -> None:
    """Remove other cookies, by ready ``Set-Cookie`` values; one may have the name of the session's, on another path."""
    for number, text in enumerate(removals):
        for name, morsel in SimpleCookie(text).items():
            key = name if name not in response.cookies else f"{name} {number}"
            dict.__setitem__(response.cookies, key, morsel)


def _put(response: HttpResponseBase, rules: CookieRules, value: str, **life: Any) -> None:
    name = str(rules.name)
    response.set_cookie(
        name,
        value,
        domain=rules.domain,
        path=rules.path,
        secure=rules.secure,
        httponly=rules.httponly,
        samesite=rules.samesite,
        **life,
    )
    if rules.partitioned:
        plain = response.cookies[name]
        morsel = _PartitionedMorsel()
        morsel.set(name, plain.value, plain.coded_value)
        morsel.update(plain)
        morsel["partitioned"] = True
        dict.__setitem__(response.cookies, name, morsel)
