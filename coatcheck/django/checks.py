"""System checks: ``manage.py check`` says what cannot work, and what would work better."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from coatcheck.django.config import SETTING, get_client, get_options
from coatcheck.django.cookie import rules_of_settings

OURS: Final = "coatcheck.django.middleware.SessionMiddleware"
_DJANGOS: Final = "django.contrib.sessions.middleware.SessionMiddleware"
_WITHOUT_EFFECT: Final = ("SESSION_CACHE_ALIAS", "SESSION_FILE_PATH", "SESSION_SERIALIZER")


def register() -> None:
    """Add the checks to Django's."""
    checks.register(check_configuration, "coatcheck")
    checks.register(check_engine, "coatcheck")


def check_configuration(**_: Any) -> list[checks.CheckMessage]:
    """E001, E002: what ``COATCHECK`` and ``SESSION_COOKIE_*`` say. W001: where the sessions would be."""
    found: list[checks.CheckMessage] = []
    try:
        get_client()
        get_options()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="coatcheck.E001")]
    try:
        rules_of_settings()
    except ImproperlyConfigured as error:
        found.append(checks.Error(str(error), id="coatcheck.E002"))
    home = getattr(settings, SETTING, {}).get("HOME")
    if home is not None and not Path(home).is_absolute():
        found.append(
            checks.Warning(
                f"{SETTING}['HOME'] is relative: {str(home)!r}.",
                hint="A worker or a command that is started from elsewhere makes a store of its own. "
                "Use BASE_DIR / 'state'.",
                id="coatcheck.W001",
            )
        )
    return found


def check_engine(**_: Any) -> list[checks.CheckMessage]:
    """E003, E004, W002, W003, I001: what belongs together, and what keeps fewer promises than it could."""
    try:
        ours = _is_ours()
    except ImproperlyConfigured:
        return []  # which E001 and E002 have said
    found: list[checks.CheckMessage] = []
    if not ours:
        if OURS in settings.MIDDLEWARE:
            found.append(
                checks.Error(
                    f"{OURS} needs coatcheck's session engine.",
                    hint="SESSION_ENGINE = 'coatcheck.django.sessions'",
                    id="coatcheck.E003",
                )
            )
        if _messages_are_ours():
            found.append(
                checks.Error(
                    f"{settings.MESSAGE_STORAGE} needs coatcheck's session engine.",
                    hint="SESSION_ENGINE = 'coatcheck.django.sessions'",
                    id="coatcheck.E004",
                )
            )
        return found
    if _DJANGOS in settings.MIDDLEWARE:
        found.append(
            checks.Warning(
                "Django's SessionMiddleware sends the session cookie with every response that saved something, so one "
                "that is late can bring back a key that a login has replaced; and an outage is a 500.",
                hint=f"Use {OURS} in its place.",
                id="coatcheck.W002",
            )
        )
    if "django.contrib.messages" in settings.INSTALLED_APPS and not _messages_are_ours():
        found.append(
            checks.Warning(
                "Messages that parallel requests add can be lost, or shown twice.",
                hint="MESSAGE_STORAGE = 'coatcheck.django.messages.MessageStorage'",
                id="coatcheck.W003",
            )
        )
    without_effect = [name for name in _WITHOUT_EFFECT if settings.is_overridden(name)]
    if without_effect:
        found.append(
            checks.Info(f"Settings without effect on coatcheck: {', '.join(without_effect)}.", id="coatcheck.I001")
        )
    return found


def _is_ours() -> bool:
    from coatcheck.django.sessions import SessionStore

    store = getattr(import_module(settings.SESSION_ENGINE), "SessionStore", None)
    return isinstance(store, type) and issubclass(store, SessionStore)


def _messages_are_ours() -> bool:
    from coatcheck.django.messages import MessageStorage

    try:
        storage = import_string(settings.MESSAGE_STORAGE)
    except ImportError:
        return False
    return isinstance(storage, type) and issubclass(storage, MessageStorage)
