"""What ``settings.COATCHECK`` says, checked, and the client that is made of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from coatcheck.adopt import Adopter
from coatcheck.client import SessionClient, connect
from coatcheck.errors import ConfigurationError
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.files import check_home
from coatcheck.web.clearing import clear_site_data
from coatcheck.web.secure import as_secure, secure_in_environment

SETTING: Final = "COATCHECK"
_FLAGS: Final = ("PARTITIONED", "NO_STORE", "REFRESH", "REVOKE_ON_CHANGE")
_OPTIONS: Final = ("SECURE", "COOKIE_NAME", "ADOPT", "CLEAR_SITE_DATA", *_FLAGS)
_FIELDS: Final = {each.name.upper(): each.name for each in fields(Settings)}
_KNOWN: Final = frozenset({"SECRET", *_FIELDS, *_OPTIONS})


@dataclass(frozen=True)
class Options:
    """What ``settings.COATCHECK`` says beside the settings of the client."""

    secure: bool = True
    """Whether the cookie is Secure where ``SESSION_COOKIE_SECURE`` is not set."""

    cookie_name: str | None = None
    """Its name where ``SESSION_COOKIE_NAME`` is not set; None: as the cookie rules say."""

    partitioned: bool = False
    """Whether the cookie is Partitioned."""

    no_store: bool = False
    """Whether responses with a session cookie say ``Cache-Control: no-store``."""

    clearing: str | None = None
    """The value of ``Clear-Site-Data`` in the response to a logout; None: there is none."""

    adopter: Adopter | None = None
    """Takes over the sessions of another store; None: there is none."""

    refresh: bool = False
    """Whether ``SESSION_SAVE_EVERY_REQUEST`` sends the cookie again each time."""

    revoke_on_change: bool = False
    """Whether a changed password, a deactivation and a deletion end sessions."""


class _Cache:
    """What was read from the settings, until they change, which they do in tests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client: SessionClient | None = None
        self.options: Options | None = None

    def forget(self, *, setting: str, **_: Any) -> None:
        """A test has changed a setting."""
        if setting == SETTING:
            with self.lock:
                former, self.client, self.options = self.client, None, None
            if former is not None:
                former.close()


_cache: Final = _Cache()
setting_changed.connect(_cache.forget)


def get_client() -> SessionClient:
    """The client of this project, made at the first call; nothing is opened before it is used.

    Raises ImproperlyConfigured for a ``COATCHECK`` that cannot work.
    """
    client = _cache.client
    if client is None:
        with _cache.lock:
            client = _cache.client = _cache.client or _made()
    return client


def get_options() -> Options:
    """The options beside the client. Raises ImproperlyConfigured likewise."""
    options = _cache.options
    if options is None:
        options = _cache.options = _read_options()
    return options


def use_client(client: SessionClient | None) -> None:
    """Keep the sessions with this client, until ``settings.COATCHECK`` changes; None: with the one that it describes.

    For tests, and for projects that share a client with something else.
    """
    with _cache.lock:
        _cache.client = client


def _made() -> SessionClient:
    given = _given()
    values = {_FIELDS[name]: value for name, value in given.items() if name in _FIELDS and value is not None}
    secret = given.get("SECRET")
    if secret is not None:
        values["secrets"] = [secret] if isinstance(secret, (str, bytes)) else secret
    for name in ("anonymous", "signed_in"):
        if isinstance(values.get(name), Mapping):
            values[name] = _lifetimes(name.upper(), values[name])
    try:
        client = connect(**values)
        check_home(client.settings.home)
    except ConfigurationError as error:
        msg = f"{SETTING}: {error}"
        raise ImproperlyConfigured(msg) from error
    return client


def _given() -> Mapping[str, Any]:
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        msg = f"{SETTING} is {type(given).__name__}: use a dict, such as {{'HOME': BASE_DIR / 'state'}}"
        raise ImproperlyConfigured(msg)
    for name in given:
        if name not in _KNOWN:
            meant = get_close_matches(str(name).upper(), _KNOWN, 1, 0.6)
            hint = f"did you mean {meant[0]!r}?" if meant else f"there are {', '.join(sorted(_KNOWN))}"
            msg = f"{SETTING} has an unknown key {name!r}: {hint}"
            raise ImproperlyConfigured(msg)
    return given


def _lifetimes(name: str, value: Mapping[str, Any]) -> Lifetimes:
    try:
        return Lifetimes(**{str(key).lower(): each for key, each in value.items()})
    except (TypeError, ValueError) as error:
        msg = f"{SETTING}[{name!r}] is no lifetimes: {error}; use seconds, such as {{'idle': 3600, 'absolute': 86400}}"
        raise ImproperlyConfigured(msg) from error


def _read_options() -> Options:
    given = _given()
    secure = given.get("SECURE")
    try:
        secure = as_secure(secure_in_environment() if secure is None else secure)
    except ConfigurationError as error:
        msg = f"{SETTING}['SECURE']: {error}"
        raise ImproperlyConfigured(msg) from error
    for name in _FLAGS:
        if not isinstance(given.get(name, False), bool):
            msg = f"{SETTING}[{name!r}] is {given[name]!r}: use True or False"
            raise ImproperlyConfigured(msg)
    flags = {name.lower(): given.get(name, False) for name in _FLAGS}
    try:
        clearing = clear_site_data(given.get("CLEAR_SITE_DATA"))
    except ConfigurationError as error:
        msg = f"{SETTING}['CLEAR_SITE_DATA']: {error}"
        raise ImproperlyConfigured(msg) from error
    adopter = _adopter(given.get("ADOPT"))
    return Options(secure=secure, cookie_name=given.get("COOKIE_NAME"), clearing=clearing, adopter=adopter, **flags)


def _adopter(sources: Any) -> Adopter | None:
    if not sources:
        return None
    if isinstance(sources, str) or not isinstance(sources, (list, tuple)):
        sources = [sources]
    try:
        return Adopter([_source(each) for each in sources])
    except (ConfigurationError, ImportError) as error:
        msg = f"{SETTING}['ADOPT']: {error}"
        raise ImproperlyConfigured(msg) from error


def _source(given: Any) -> Any:
    """A source, or what makes one: sources of Django's own stores cannot be made while its settings are read."""
    if isinstance(given, str):
        given = import_string(given)
    return given() if callable(given) else given
