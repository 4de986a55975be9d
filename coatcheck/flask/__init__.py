"""Flask sessions and flashes kept by coatcheck.

    app = Flask(__name__)
    Coatcheck(app)

``flask.session``, ``flask.flash`` and ``get_flashed_messages`` stay as they are. ``flask.session`` is a
:class:`coatcheck.Session`, so it can also ``login``, ``logout``, ``increment`` and so on.

Flask's own settings count where the application has set them to something else than Flask's default:
``SESSION_COOKIE_NAME``, ``_DOMAIN``, ``_PATH``, ``_HTTPONLY``, ``_SECURE``, ``_SAMESITE``, ``_PARTITIONED``,
``APPLICATION_ROOT``, ``SESSION_REFRESH_EACH_REQUEST`` and ``PERMANENT_SESSION_LIFETIME``. Beside them there are

``COATCHECK_HOME``, ``COATCHECK_LANE`` and so on
    the fields of :class:`coatcheck.Settings`;
``COATCHECK_SECURE``
    False for plain http during development: a cookie that is not Secure. Default True;
``COATCHECK_COOKIE_NAME``
    default ``__Host-id``, or ``id`` for a cookie that is not Secure;
``COATCHECK_NO_STORE``
    True: responses with a session cookie also say ``Cache-Control: no-store``. Default False.
"""

from __future__ import annotations

try:
    import flask as _flask  # noqa: F401 - to say what is missing
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    msg = "coatcheck.flask needs Flask: pip install 'coatcheck[flask]'"
    raise ModuleNotFoundError(msg, name="flask") from error

from coatcheck.flask.extension import Coatcheck
from coatcheck.flask.interface import CoatcheckSessionInterface
from coatcheck.flask.session import FlaskSession

__all__ = ["Coatcheck", "CoatcheckSessionInterface", "FlaskSession"]
