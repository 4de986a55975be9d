"""The lab: what happens when a browser does several things at once.

Everything here can be tried with any other session library; the note on the page says what they leave.
"""

from __future__ import annotations

import os
import time

from flask import Blueprint, abort, flash, get_flashed_messages, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

import csrf
from coatcheck import Set
from coatcheck.flashes import LEVELS
from sessions import client, handle, session

race = Blueprint("race", __name__)

RUNNERS = 20
THINKING = 0.1
"""Seconds between reading and writing, so that the requests overlap as those of a busy page do."""
SLOW = 2.0
"""Seconds of the slow request."""


@race.get("/lab")
def lab() -> str:
    """The three experiments."""
    return render_template("lab.html", runners=RUNNERS, levels=LEVELS)


@race.post("/lab/race")
def line_up() -> dict[str, str]:
    """Clear the track. Answers the word that the twenty requests have to repeat."""
    for key in [key for key in session if key.startswith("race:")]:
        del session[key]
    get_flashed_messages()
    return {"csrf": csrf.word()}


@race.post("/lab/race/<int:number>")
def run(number: int) -> dict[str, int]:
    """One of the twenty: read the session, think, write a key of its own, count, and flash."""
    if not 1 <= number <= RUNNERS:
        abort(404)
    whole = dict(session.get("race:whole", {}))
    time.sleep(THINKING)
    session[f"race:key:{number}"] = os.getpid()
    session.increment("race:count")
    flash(str(number), "race")
    # For comparison. One value that everybody reads, changes and puts back: to coatcheck this is one key, and the last
    # one wins. Where a library saves sessions whole, the whole session is that one value.
    whole[str(number)] = os.getpid()
    session["race:whole"] = whole
    return {"pid": os.getpid()}


@race.post("/lab/race/result")
def result() -> dict[str, object]:
    """What is in the session after the race. The flashes are taken, as showing them would."""
    return {
        "keys": [number for number in range(1, RUNNERS + 1) if f"race:key:{number}" in session],
        "flashes": [int(str(text)) for text in get_flashed_messages(category_filter=["race"])],
        "count": session.get("race:count", 0),
        "whole": sorted(map(int, session.get("race:whole", {}))),
        "workers": sorted({session[key] for key in session if key.startswith("race:key:")}),
    }


@race.post("/lab/slow")
def slow() -> dict[str, object]:
    """Read the session, be slow, write at the end. Meanwhile the same browser signs out."""
    token, ticket = session.token, handle()
    if token is None:
        abort(400, "There is no session to race against.")
    client().save(token, [Set("slow", True)])  # at once, so that the page can see that this request is on its way
    time.sleep(SLOW)
    session["late"] = "written by a request that is older than the logout"
    session.commit()
    found = client().find(token)
    return {"handle": ticket, "alive": bool(found), "reason": found.reason}


@race.get("/lab/who")
def who() -> dict[str, object]:
    """Which session the browser has now, whether a slow request is at work on it, and whether one has written."""
    return {"handle": handle(), "slow": "slow" in session, "late": "late" in session}


@race.post("/lab/flash")
def send_flash() -> Response:
    """One flash of the chosen level. It waits in the session until a page shows it."""
    level = request.form.get("level", "")
    if level not in LEVELS:
        abort(400, "There are four levels.")
    flash(TEXTS[level], level)
    return redirect(url_for("race.lab", _anchor="flashes"))


TEXTS = {
    "success": "Your coat is on the rail.",
    "info": "The cloakroom closes at midnight.",
    "warning": "It has started to rain.",
    "error": "We could not find an umbrella of that colour.",
}
