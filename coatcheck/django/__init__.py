"""Django sessions and messages kept by coatcheck.

    SESSION_ENGINE = "coatcheck.django.sessions"
    MESSAGE_STORAGE = "coatcheck.django.messages.MessageStorage"
    COATCHECK = {"HOME": BASE_DIR / "state"}

``request.session``, ``django.contrib.auth`` and ``django.contrib.messages`` stay as they are. Two more lines are worth
having: ``coatcheck.django.middleware.SessionMiddleware`` in the place of Django's own, which keeps promises that
Django's cannot keep (``docs/django.md`` says which), and ``coatcheck.django`` in ``INSTALLED_APPS``, for the system
checks and the management commands.

``COATCHECK`` is checked when it is first used, and by ``manage.py check``. Its keys are

``HOME``, ``LANE``, ``ANONYMOUS``, ``SIGNED_IN`` and so on
    the fields of :class:`coatcheck.Settings` in capitals, and ``SECRET``;
``SECURE``
    False for plain http during development: a cookie that is not Secure. Default True. Also ``COATCHECK_SECURE`` in the
    environment: 1, true, yes, 0, false or no;
``COOKIE_NAME``
    default ``__Host-id``, or ``id`` for a cookie that is not Secure;
``PARTITIONED``
    True: one cookie jar per embedding site (CHIPS). Default False;
``NO_STORE``
    True: responses with a session cookie also say ``Cache-Control: no-store``. Default False;
``CLEAR_SITE_DATA``
    True: the response to a logout has the browser clear its cache and storage; or a list of the directives of
    ``Clear-Site-Data``. Default False. Needs our middleware;
``ADOPT``
    stores whose sessions move in, see :mod:`coatcheck.adopt`: sources, what makes one, or the dotted name of that, as
    ``["coatcheck.adopt.DjangoDatabase"]``. Default: none. Needs our middleware;
``REFRESH``
    True: with ``SESSION_SAVE_EVERY_REQUEST`` each response sends the cookie again. It ends with its session, so that
    changes nothing, and a response that a login has overtaken would bring the old key back. Default False;
``REVOKE_ON_CHANGE``
    True: a changed password ends the user's other sessions, and a user who is deactivated or deleted loses all (ASVS
    7.4.2, 7.4.3). Needs ``coatcheck.django`` in ``INSTALLED_APPS``. Default False.

Django's own settings ``SESSION_COOKIE_*`` count where the application has set them. Where it has not, the cookie is
named as above, is Secure, and a session lives as long as coatcheck's settings say.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

try:
    import django as _django  # noqa: F401 - to say what is missing
except ModuleNotFoundError as error:
    if error.name != "django":
        raise
    msg = "coatcheck.django needs Django: pip install 'coatcheck[django]'"
    raise ModuleNotFoundError(msg, name="django") from error

_HOMES: Final = {
    "get_client": "coatcheck.django.config",
    "use_client": "coatcheck.django.config",
    **dict.fromkeys(("principal_of", "sessions_of", "asessions_of", "revoke", "arevoke"), "coatcheck.django.users"),
}

if TYPE_CHECKING:
    from coatcheck.django.config import get_client as get_client
    from coatcheck.django.config import use_client as use_client
    from coatcheck.django.users import arevoke as arevoke
    from coatcheck.django.users import asessions_of as asessions_of
    from coatcheck.django.users import principal_of as principal_of
    from coatcheck.django.users import revoke as revoke
    from coatcheck.django.users import sessions_of as sessions_of

__all__ = sorted(_HOMES)  # noqa: PLE0605 - sorted from the table above


def __getattr__(name: str) -> Any:
    # Later: Django imports this package before its settings are there.
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'coatcheck.django' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(home), name)
