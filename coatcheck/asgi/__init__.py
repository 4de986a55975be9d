"""Sessions for ASGI applications: Starlette, FastAPI, and any other.

    app = Starlette(..., middleware=[Middleware(SessionMiddleware, home="state")])

``request.session`` is a dict, as with Starlette's own middleware, and a :class:`coatcheck.Session`: it can ``login``,
``logout``, ``flash``, ``increment`` and so on. It runs on asyncio and trio, and imports no framework; FastAPI's
dependency is in :mod:`coatcheck.asgi.fastapi`.
"""

from __future__ import annotations

from coatcheck.asgi.middleware import SessionMiddleware
from coatcheck.asgi.session import ASGISession, SessionNotLoaded, load_session

__all__ = ["ASGISession", "SessionMiddleware", "SessionNotLoaded", "load_session"]
