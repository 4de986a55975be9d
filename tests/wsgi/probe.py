"""The probing application as plain WSGI and for Bottle; settings come from the environment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import redis

from coatcheck import connect
from coatcheck.adopt import FlaskSessionRedis
from coatcheck.wsgi import SessionMiddleware
from tests.web.actions import ACTIONS, TAKE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def act(name: str, session: Callable[[], Any], query: dict[str, str]) -> Any:
    """Do what the action wants done."""
    action = ACTIONS[name](session, query)
    answer = None
    try:
        while True:
            wanted = action.send(answer)
            answer = None
            if wanted == TAKE:
                answer = session().take_flashes()
            else:
                time.sleep(wanted)
    except StopIteration as end:
        return end.value


def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Without any framework."""
    name = environ["PATH_INFO"].strip("/")
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    if name not in ACTIONS:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such page"]
    found = act(name, lambda: environ["coatcheck.session"], query)
    if isinstance(found, int):
        start_response(f"{found} As Told", [("Content-Type", "text/plain")])
        return [b"as it was told to"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


def options() -> dict[str, Any]:
    """What the environment says."""
    timeout = os.environ.get("PROBE_GATE_TIMEOUT")
    return {} if timeout is None else {"client": connect(gate_timeout=float(timeout))}


def plain_app(**given: Any) -> SessionMiddleware:
    """Plain WSGI."""
    return SessionMiddleware(plain, **{**options(), **given})


def bottle_app(**given: Any) -> SessionMiddleware:
    """Bottle, as it is written with Beaker."""
    import bottle

    app = bottle.Bottle(catchall=False)

    @app.get("/<name>")  # type: ignore[untyped-decorator]
    def acting(name: str) -> Any:
        if name not in ACTIONS:
            raise bottle.HTTPError(404)
        found = act(name, lambda: bottle.request.environ["beaker.session"], dict(bottle.request.query))
        if isinstance(found, int):
            return bottle.HTTPResponse("as it was told to", found)
        bottle.response.content_type = "application/json"
        return json.dumps(found)

    return SessionMiddleware(app, environ_key="beaker.session", **{**options(), **given})


def moving_app() -> SessionMiddleware:
    """With the sessions that Flask-Session has in the Redis of ``PROBE_OLD``, a port."""
    return plain_app(adopt=FlaskSessionRedis(redis.Redis(port=int(os.environ["PROBE_OLD"]))))
