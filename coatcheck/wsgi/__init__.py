"""Sessions for WSGI applications: Bottle, Pyramid, and any other.

    app = SessionMiddleware(app, home="state")

``environ["coatcheck.session"]`` is a :class:`coatcheck.Session`: a dict that can ``login``, ``logout``, ``flash``,
``increment`` and so on. For code that was written for Beaker there is ``environ_key="beaker.session"``.
"""

from __future__ import annotations

from coatcheck.wsgi.middleware import SessionMiddleware
from coatcheck.wsgi.session import WSGISession

__all__ = ["SessionMiddleware", "WSGISession"]
