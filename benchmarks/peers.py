"""The peers: Flask-Session on a real Redis server, and Flask's own signed cookie."""

from __future__ import annotations

import secrets
from typing import Any, Final

import redis
from flask import Flask, Response
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session as FlaskSession

from benchmarks.contents import content
from benchmarks.progress import progress
from benchmarks.sides import COOKIE, REDIS, Side

_PIPELINE: Final = 500
_COOKIES: Final = 1_000


class _AnySize(Response):
    """Without the warning that a cookie of this size would not be kept by a browser."""

    max_cookie_size = 0


def redis_side(port: int, size: str, sessions: int) -> Side:
    """Flask-Session with its defaults on the (emptied) Redis server at ``port``, holding that many sessions.

    Seeded in pipelines with what Flask-Session's own serializer makes and under its own keys: one SET at a time
    would only take longer.
    """
    client = redis.Redis(port=port)
    client.flushall()
    app = Flask(REDIS)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_PERMANENT=True)
    FlaskSession(app)
    interface: Any = app.session_interface
    lifetime = int(app.permanent_session_lifetime.total_seconds())
    ids = [secrets.token_urlsafe(32) for _ in range(sessions)]
    with progress(f"{REDIS}: seeding {size}", sessions) as bar, client.pipeline(transaction=False) as pipeline:
        for index, sid in enumerate(ids):
            session = interface.session_class({**content(size, index), "_permanent": True}, sid=sid)
            pipeline.set(interface.key_prefix + sid, interface.serializer.encode(session), ex=lifetime)
            if len(pipeline) >= _PIPELINE:
                bar.advance(len(pipeline.execute()))
        bar.advance(len(pipeline.execute()))
    return Side(REDIS, app, ids)


def cookie_side(size: str, sessions: int) -> Side:
    """Flask's own sessions: the data itself, signed, in the cookie.

    At most a thousand different ones, since it keeps nothing and their number is nothing to it.
    """
    app = Flask(COOKIE)
    app.secret_key = secrets.token_bytes(32)
    app.response_class = _AnySize
    interface = app.session_interface
    assert isinstance(interface, SecureCookieSessionInterface)
    serializer = interface.get_signing_serializer(app)
    assert serializer is not None
    cookies = []
    for index in range(min(sessions, _COOKIES)):
        dumped = serializer.dumps(content(size, index))
        cookies.append(dumped if isinstance(dumped, str) else dumped.decode())
    return Side(COOKIE, app, cookies)
