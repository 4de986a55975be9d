"""What the bottom line of every page says: which worker, which lane, how long reading the session took."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from typing import Any

from flask import Flask, Request, g, request

from coatcheck import __version__
from coatcheck.flask import CoatcheckSessionInterface, FlaskSession
from sessions import client, handle, session


class TimedSessions(CoatcheckSessionInterface):
    """Coatcheck's own session interface, with a stop-watch. Only this page needs it; your application does not."""

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """The session of the request."""
        begin = time.perf_counter_ns()
        opened = super().open_session(app, request)
        g.read_ns = time.perf_counter_ns() - begin
        return opened


def init_app(app: Flask) -> None:
    """Measure the session's way in, and offer the results to the templates. After ``Coatcheck(app)``."""
    app.session_interface = app.extensions["coatcheck"] = TimedSessions(app.extensions["coatcheck"].client)
    app.before_request(_read_session)
    app.context_processor(_served)
    app.add_template_filter(moment)
    app.add_template_filter(device)


def _read_session() -> None:
    if request.endpoint == "static":
        return
    # The direct lane has the data by now; the actor lane asks for it when it is first used, which on a page is now.
    begin = time.perf_counter_ns()
    session.load()
    g.read_ns += time.perf_counter_ns() - begin


def _served() -> dict[str, Any]:
    return {
        "served": {
            "pid": os.getpid(),
            "lane": client().settings.lane,
            "read_us": g.read_ns / 1000,
            "version": __version__,
        },
        "handle": handle(),
        "user": session.principal,
    }


def moment(microseconds: int) -> dict[str, str]:
    """A time of the store (microseconds UTC) for a machine and for people."""
    then = datetime.fromtimestamp(microseconds / 1e6, tz=timezone.utc)
    seconds = int((datetime.now(tz=timezone.utc) - then).total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return {"iso": then.isoformat(), "ago": f"{count} {unit}{'s' if count > 1 else ''} ago"}
    return {"iso": then.isoformat(), "ago": "just now"}


BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device(user_agent: str) -> str:
    """The browser and the system, as far as the User-Agent lets one guess."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return " on ".join(filter(None, (browser, system))) or user_agent[:40] or "unknown browser"
