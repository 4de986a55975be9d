"""The application that is visited: each answer says whose session it had."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, Response, flash, get_flashed_messages, request
from flask import session as flask_session

from coatcheck.flask import Coatcheck

session: Any = flask_session


def create_app() -> Flask:
    """The application; ``COATCHECK_HOME`` and ``COATCHECK_LANE`` come from the environment."""
    app = Flask(__name__)
    Coatcheck(app)
    app.after_request(sign)
    for view in (enter, add, leave_flash, show, read, leave):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)
    return app


def sign(response: Response) -> Response:
    """Errors too say which process has worked on the request: it may be killed afterwards."""
    response.headers["X-Process"] = str(os.getpid())
    return response


def _answer(**more: Any) -> dict[str, Any]:
    mark, principal = session.get("mark"), session.principal
    return {"mark": mark, "principal": principal, "pid": os.getpid(), **more}


def enter() -> dict[str, Any]:
    """A session with a mark, bound to a principal of the same name."""
    session["mark"] = request.args["mark"]
    session.login(request.args["mark"])
    return {"mark": request.args["mark"], "principal": request.args["mark"], "pid": os.getpid()}


def add() -> dict[str, Any]:
    """One transaction with an increment, an append and a key of the tab's own."""
    answer = _answer()
    if answer["mark"] is not None:
        number = int(request.args["number"])
        session.increment("count")
        session.append("seen", number)
        session[f"slot{request.args['tab']}"] = number
    return answer


def leave_flash() -> dict[str, Any]:
    """A flash, as any Flask application leaves one."""
    answer = _answer()
    if answer["mark"] is not None:
        flash(request.args["number"])
    return answer


def show() -> dict[str, Any]:
    """All flashes, as any Flask application shows them; on a page that writes, too, so that it may fail afterwards."""
    answer = _answer(shown=[int(str(each)) for each in get_flashed_messages()])
    if answer["mark"] is not None:
        session.increment("shows")
    return answer


def read() -> dict[str, Any]:
    """Whose session it is."""
    return _answer()


def leave() -> dict[str, Any]:
    """The end of the session."""
    answer = _answer()
    session.logout()
    return answer
