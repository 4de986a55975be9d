"""Moving in: sessions of another store are taken over by the first request that brings their cookie.

Nobody is logged out, and nothing has to be copied beforehand. A *source* is the store that the sessions were in;
:class:`Adopter` finds out whether a request brings one of its cookies. Frameworks use it through their integration, as
in ``Coatcheck(app, adopt=[FlaskSessionRedis(...)])``; anything else does it by hand::

    origin = Adopter(sources).origin_of(client, cookie_header)
    session = client.open() if origin is None else client.open_from(origin)
"""

from __future__ import annotations

from coatcheck.adopt.adopter import Adopter
from coatcheck.adopt.django_sources import DjangoCache, DjangoDatabase
from coatcheck.adopt.flask_session import FlaskSessionCachelib, FlaskSessionRedis, FlaskSessionSQLAlchemy
from coatcheck.adopt.origin import Origin
from coatcheck.adopt.source import LegacySession, LegacySource, Source, Unreadable

__all__ = [
    "Adopter",
    "DjangoCache",
    "DjangoDatabase",
    "FlaskSessionCachelib",
    "FlaskSessionRedis",
    "FlaskSessionSQLAlchemy",
    "LegacySession",
    "LegacySource",
    "Origin",
    "Source",
    "Unreadable",
]
