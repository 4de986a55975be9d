"""Plain WSGI and Bottle in two workers of gunicorn."""

from __future__ import annotations

from tests.web.promises import Promises
from tests.web.serving import GUNICORN


class TestPlain(Promises):
    """Without any framework."""

    server = GUNICORN
    factory = "tests.wsgi.probe:plain_app"


class TestBottle(Promises):
    """As it is written with Beaker."""

    server = GUNICORN
    factory = "tests.wsgi.probe:bottle_app"


class TestOnTheActorLane(TestPlain):
    """Where each answer is waited for."""

    lane = "actor"
