"""What an application's configuration says, checked when the application is made and not by its first visitor."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from coatcheck.adopt import Adopter
from coatcheck.errors import ConfigurationError
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.web.clearing import clear_site_data
from coatcheck.web.secure import SECURE, as_secure, secure_in_environment
from coatcheck.web.transport import HeaderTransport

if TYPE_CHECKING:
    from flask import Flask

PREFIX: Final = "COATCHECK_"
COOKIE_OPTIONS: Final = frozenset(
    {"secure", "cookie_name", "no_store", "clear_site_data", "token_header", "principal_key", "adopt", "refresh"}
)
"""The options that are the integration's own, and no fields of the settings."""

TOKEN_HEADER: Final = f"{PREFIX}TOKEN_HEADER"
_PRINCIPAL_KEY: Final = f"{PREFIX}PRINCIPAL_KEY"
_FLASK_LOGIN: Final = "_user_id"
_LIFETIME: Final = "PERMANENT_SESSION_LIFETIME"
_FIELDS: Final = frozenset(each.name for each in fields(Settings))

# Of Flask-Session, all versions.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "SESSION_TYPE",
        "SESSION_PERMANENT",
        "SESSION_USE_SIGNER",
        "SESSION_KEY_PREFIX",
        "SESSION_ID_LENGTH",
        "SESSION_SID_LENGTH",
        "SESSION_SERIALIZATION_FORMAT",
        "SESSION_CLEANUP_N_REQUESTS",
    }
)
_KINDS_WITHOUT_EFFECT: Final = tuple(
    f"SESSION_{kind}" for kind in ("FILE_", "REDIS", "MEMCACHED", "CACHELIB", "MONGODB", "SQLALCHEMY", "DYNAMODB")
)

_log = logging.getLogger("coatcheck.flask")


def settings_of(app: Flask) -> dict[str, Any]:
    """The fields of the settings that ``app.config`` has. Raises ConfigurationError for a name that means nothing."""
    settings: dict[str, Any] = {}
    for name, value in app.config.items():
        if not name.startswith(PREFIX):
            continue
        field = name[len(PREFIX) :].lower()
        if field not in {"secret", *_FIELDS, *COOKIE_OPTIONS}:
            known = (f"{PREFIX}{each.upper()}" for each in ("secret", *_FIELDS, *COOKIE_OPTIONS))
            raise _unknown(name, known)
        if value is not None and field not in COOKIE_OPTIONS:
            settings[field] = value
    secret = settings.pop("secret", None)
    if secret is not None:
        settings["secrets"] = [secret] if isinstance(secret, (str, bytes)) else secret
    return settings


def check_names(given: Iterable[str]) -> None:
    """Raise ConfigurationError for an argument that is neither a field of the settings nor a cookie option."""
    for name in given:
        if name not in _FIELDS | COOKIE_OPTIONS:
            raise _unknown(name, _FIELDS | COOKIE_OPTIONS)


def check_values(app: Flask) -> None:
    """Raise ConfigurationError for a value of one of Flask's settings, or of the integration's own, that cannot be.

    ``COATCHECK_SECURE`` comes from the environment where the configuration leaves it out.
    """
    if app.config.get(SECURE) is None:
        app.config[SECURE] = secure_in_environment()
    app.config[SECURE] = is_secure(app)
    header_of(app)
    clearing_of(app)
    key = principal_key(app)
    if not isinstance(key, str) or key in {"_flashes", "_permanent"}:
        msg = f"{_PRINCIPAL_KEY} is {key!r}: use the key of the session that says who is signed in, or '' for none"
        raise ConfigurationError(msg)
    value = app.config[_LIFETIME]
    try:
        if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
            raise TypeError
        Lifetimes(idle=as_timedelta(value).total_seconds())
    except (TypeError, ValueError, OverflowError):
        msg = f"{_LIFETIME} is {value!r}: use a timedelta or a number of seconds, above 0 and at most a hundred years"
        raise ConfigurationError(msg) from None


def is_secure(app: Flask) -> bool:
    """``COATCHECK_SECURE``, True where it is not set. As text, as an environment has it: 1, true, yes, 0, false, no."""
    return as_secure(app.config.get(SECURE))


def clearing_of(app: Flask) -> str | None:
    """The value of ``Clear-Site-Data`` in the response to a logout; None: there is none."""
    return clear_site_data(app.config.get(f"{PREFIX}CLEAR_SITE_DATA"))


def principal_key(app: Flask) -> str:
    """The key of the session that says who is signed in: ``_user_id``, which is Flask-Login's; "" for none."""
    key: str | None = app.config.get(_PRINCIPAL_KEY)
    return _FLASK_LOGIN if key is None else key


def header_of(app: Flask) -> HeaderTransport | None:
    """The header that brings the token, where ``COATCHECK_TOKEN_HEADER`` names one; None for the cookie."""
    name = app.config.get(TOKEN_HEADER)
    return None if name is None else HeaderTransport(name)


def adopter_of(app: Flask) -> Adopter | None:
    """Who takes over the sessions of the sources in ``COATCHECK_ADOPT``; None where there are none."""
    sources = app.config.get(f"{PREFIX}ADOPT")
    if not sources:
        return None
    if header_of(app) is not None:
        msg = f"{PREFIX}ADOPT takes over sessions by their cookies, but {TOKEN_HEADER} is set: use one of them"
        raise ConfigurationError(msg)
    return Adopter(sources if isinstance(sources, (list, tuple)) else [sources])


def tell_what_has_no_effect(app: Flask) -> None:
    """One line in the log about the settings of Flask-Session that were left behind."""
    names = sorted(name for name in app.config if name in _WITHOUT_EFFECT or name.startswith(_KINDS_WITHOUT_EFFECT))
    if names:
        _log.warning(
            "coatcheck keeps the sessions of %s, so these settings of Flask-Session have no effect "
            "and can be removed: %s",
            app.name,
            ", ".join(names),
        )


def as_timedelta(value: timedelta | float) -> timedelta:
    """A lifetime as Flask understands it: a number is seconds."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _unknown(name: str, known: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(f"unknown setting {name}: use one of {', '.join(sorted(known))}")
