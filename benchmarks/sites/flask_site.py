"""The site in Flask: coatcheck, Flask-Session on Redis, or Flask's signed cookie."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request, session

from benchmarks.contents import CHANGED_KEY, READ_KEY, content

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmarks-benchmarks-benchmarks"  # noqa: S105 - of nobody
side = os.environ["SITE_SIDE"]
if side == "coatcheck":
    from coatcheck.flask import Coatcheck

    Coatcheck(app, home=os.environ["SITE_HOME"], secure=False)
elif side == "redis":
    import redis
    from flask_session import Session

    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis(port=int(os.environ["SITE_REDIS"])))
    Session(app)


@app.get("/start")
def start() -> dict[str, Any]:
    """A new session with data."""
    session.update(content(os.environ["SITE_SIZE"], int(request.args["n"])))
    return {"started": True}


@app.get("/read")
def read() -> dict[str, Any]:
    """One key of it."""
    return {"user": session[READ_KEY]}


@app.get("/write")
def write() -> dict[str, Any]:
    """The same, and another one changed."""
    session[CHANGED_KEY] = os.urandom(4).hex()
    return {"user": session[READ_KEY]}
