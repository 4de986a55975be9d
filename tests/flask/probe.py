"""A small Flask application that does with its session what it is told; for gunicorn too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, flash, get_flashed_messages, redirect, request, stream_with_context
from flask import session as flask_session

from coatcheck.flask import Coatcheck

session: Any = flask_session


def create_app(**config: Any) -> Flask:
    """The application; ``COATCHECK_HOME`` and ``COATCHECK_LANE`` come from the environment or from ``config``."""
    app = Flask(__name__, static_folder=str(Path(__file__).parent), static_url_path="/static")
    app.config.update(config)
    if "PROBE_GATE_TIMEOUT" in os.environ:
        app.config["COATCHECK_GATE_TIMEOUT"] = float(os.environ["PROBE_GATE_TIMEOUT"])
    Coatcheck(app)
    for rule, view in VIEWS.items():
        app.add_url_rule(rule, rule, view)
    return app


def untouched() -> str:
    """Does not use the session."""
    return "untouched"


def read() -> dict[str, Any]:
    """All of it."""
    return {"data": dict(session), "sid": session.sid, "principal": session.principal, "pid": os.getpid()}


def look() -> dict[str, Any]:
    """Reads one key."""
    return {"value": session.get(request.args["key"])}


def put() -> str:
    """Sets what the query says, as texts; with a pause between reading and writing."""
    len(session)
    _pause()
    if "permanent" in request.args:
        session.permanent = True
    for key, value in request.args.items():
        if key not in _OWN:
            session[key] = value
    return "stored"


def count() -> str:
    """Increments a key, appends to another."""
    session.increment("count")
    session.append("seen", request.args["item"])
    return "counted"


def pop() -> str:
    """Removes a key."""
    session.pop(request.args["key"])
    return "gone"


def clear() -> str:
    """Removes all."""
    session.clear()
    return "cleared"


def push() -> str:
    """Flashes as any Flask application does."""
    _pause()
    flash(request.args["text"], request.args.get("category", "message"))
    return "flashed"


def show() -> dict[str, Any]:
    """Shows flashes as any Flask application does."""
    return {"flashes": get_flashed_messages(with_categories=True)}


def login() -> Any:
    """Binds the session."""
    session.permanent = "permanent" in request.args
    session.login(request.args["name"])
    return redirect("/read")


def renew() -> str:
    """A new token; the old one works a while longer."""
    session.rotate(grace=float(request.args.get("grace", 10)))
    return "renewed"


def logout() -> str:
    """Ends it."""
    session.logout()
    return "bye"


def slow() -> str:
    """Has used the session, waits for a file to appear, and ends; ``write`` makes it write then."""
    len(session)
    Path(request.args["began"]).touch()
    end = time.monotonic() + 20
    while not Path(request.args["go"]).exists():
        if time.monotonic() > end:
            abort(408)
        time.sleep(0.005)
    if "write" in request.args:
        session["late"] = "written"
        flash("late")
    return "slow"


def fail() -> str:
    """Takes flashes and writes, then fails: by an exception, or with the status that the query names."""
    get_flashed_messages()
    session["failed"] = 1
    flash("own")
    if "status" in request.args:
        abort(int(request.args["status"]))
    msg = "as it was told to"
    raise LookupError(msg)


def stream() -> Response:
    """Changes the session while it streams, and commits."""
    session["before"] = 1

    def pieces() -> Iterator[str]:
        yield "one "
        session["during"] = 2
        if "forget" not in request.args:
            session.commit()
        yield "two"

    return Response(stream_with_context(pieces()))


VIEWS: dict[str, Callable[[], Any]] = {
    "/untouched": untouched,
    "/read": read,
    "/look": look,
    "/put": put,
    "/count": count,
    "/pop": pop,
    "/clear": clear,
    "/flash": push,
    "/show": show,
    "/login": login,
    "/renew": renew,
    "/logout": logout,
    "/slow": slow,
    "/fail": fail,
    "/stream": stream,
}

_OWN = {"pause", "permanent"}


def _pause() -> None:
    time.sleep(float(request.args.get("pause", 0)))
