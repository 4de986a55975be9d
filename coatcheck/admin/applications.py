"""What an application has set, read from the application itself: lifetimes, lane and cookie rules. Opens no store."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.cookies import CookieRules
    from coatcheck.settings import Settings

_DEEPEST = 20


@dataclass(frozen=True)
class Application:
    """An application, as far as its sessions are concerned."""

    name: str
    """As it was named."""

    kind: str
    """``flask``, ``django`` or ``middleware``."""

    settings: Settings | None
    """Those of its client."""

    cookie: CookieRules | None
    """How its cookie is written; None where a header brings the token."""


def look_at(name: str) -> Application:
    """Import an application: ``MODULE:NAME`` or ``MODULE:FACTORY()`` of Flask, WSGI or ASGI, ``MODULE`` of Django.

    Raises ConfigurationError for what cannot be imported, or has no sessions of coatcheck.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        return _django(name)
    found = _imported(name, module, attribute)
    extension = getattr(found, "extensions", None)
    if isinstance(extension, dict) and "coatcheck" in extension:
        interface = extension["coatcheck"]
        return Application(name, "flask", interface.client.settings, _flask_cookie(found, interface))
    options = _options_in(found)
    if options is None:
        msg = f"{name} has no sessions of coatcheck: name the application that has the extension or the middleware"
        raise ConfigurationError(msg)
    return Application(name, "middleware", options.client.settings, getattr(options.transport, "rules", None))


def _imported(name: str, module: str, attribute: str) -> Any:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as gunicorn and flask do
    try:
        found = getattr(import_module(module), attribute.removesuffix("()"))
        return found() if attribute.endswith("()") else found
    except (ImportError, AttributeError) as error:
        msg = f"{name} cannot be imported ({error}): name it as your server does, such as shop:app"
        raise ConfigurationError(msg) from error
    finally:
        sys.path.pop(0)


def _flask_cookie(app: Any, interface: Any) -> CookieRules | None:
    from coatcheck.flask.config import header_of

    rules: CookieRules = interface.cookie_rules(app)
    return None if header_of(app) is not None else rules


def _options_in(app: Any) -> Any:
    """The options of the middleware around or below an application; Starlette makes it at the first request."""
    for _ in range(_DEEPEST):
        if app is None:
            return None
        if hasattr(getattr(app, "options", None), "transport"):
            return app.options
        for each in getattr(app, "user_middleware", ()):
            if each.cls.__module__.startswith("coatcheck."):
                return each.cls(app, *each.args, **each.kwargs).options
        app = getattr(app, "app", None) or getattr(app, "wsgi_app", None)
    return None


def _django(name: str) -> Application:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as manage.py does
    os.environ["DJANGO_SETTINGS_MODULE"] = name
    try:
        import django

        django.setup()
        from coatcheck.django.config import get_client
        from coatcheck.django.cookie import rules_of_settings

        return Application(name, "django", get_client().settings, rules_of_settings())
    except ImportError as error:
        msg = f"{name} cannot be imported ({error}): name a Django project by its settings, others as shop:app"
        raise ConfigurationError(msg) from error
    except Exception as error:
        if type(error).__name__ != "ImproperlyConfigured":
            raise
        msg = f"{name}: {error}"
        raise ConfigurationError(msg) from error
    finally:
        sys.path.pop(0)
