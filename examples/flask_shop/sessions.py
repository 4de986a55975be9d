"""The session of this request, and what the pages tell about it."""

from __future__ import annotations

import hashlib
from typing import cast

import flask

from coatcheck import SessionClient
from coatcheck.flask import FlaskSession

session = cast("FlaskSession", flask.session)
"""``flask.session`` itself. Flask declares it as a mapping; so type checkers see ``login`` and the like too."""


def client() -> SessionClient:
    """The client behind ``flask.session``, for what concerns other sessions than this one."""
    found: SessionClient = flask.current_app.extensions["coatcheck"].client
    return found


def handle() -> str:
    """The number on the ticket: the first 8 digits of the session's id. Empty while nothing is stored."""
    return (session.sid or "")[:8]


def fingerprint() -> str:
    """Six digits that change when the token does, and say nothing else about it. The token itself is for the cookie."""
    token = session.token
    return hashlib.blake2b(token.encode(), digest_size=3, person=b"shop").hexdigest() if token else ""
