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
    False for plain http during development: a cookie that is not Secure. Default True. Also from the environment:
    1, true, yes, 0, false or no;
``COATCHECK_COOKIE_NAME``
    default ``__Host-id``, or ``id`` for a cookie that is not Secure;
``COATCHECK_NO_STORE``
    True: responses with a session cookie also say ``Cache-Control: no-store``. Default False;
``COATCHECK_REFRESH``
    True: the cookie of a permanent session is sent again with each response, as Flask does. Default False: it ends with
    its session anyway, and a response that is overtaken by that of a login would bring the old token back;
``COATCHECK_TOKEN_HEADER``
    the header in which clients that keep no cookies send and get the token, such as ``X-Session-Token``; then there is
    no cookie at all. Default None;
``COATCHECK_PRINCIPAL_KEY``
    the key of the session that says who is signed in: setting it is a login, removing it a logout. Default
    ``_user_id``, as Flask-Login has it; "" for none.

How long a session lives, and under which token:

- An untouched ``PERMANENT_SESSION_LIFETIME`` (Flask's default, 31 days) yields to coatcheck's own lifetimes (30 minutes
  idle; 4 hours in all, signed in 24 hours): for longer ones set it to anything else, as in ``timedelta(days=30)``, or
  set ``COATCHECK_ANONYMOUS`` and ``COATCHECK_SIGNED_IN`` to :class:`coatcheck.Lifetimes`.
- The cookie's ``Max-Age``, which only a permanent session has, is the absolute limit and not the idle one.
- ``session.login(user)`` rotates the token, so that one planted or seen before is worth nothing afterwards;
  ``session.clear(); session["user"] = ...`` does not, unless ``user`` is the ``COATCHECK_PRINCIPAL_KEY``.

``flask coatcheck`` lists and ends sessions from the command line.
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
