"""A Flask application from nothing to its first answer, in a process of its own: ``scale`` starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter_ns

from flask import Flask, session

import coatcheck
from benchmarks.contents import READ_KEY
from benchmarks.sides import Side
from coatcheck.flask import CoatcheckSessionInterface


def main() -> None:
    """Answer one request with the token that comes on stdin; print how many milliseconds the request took."""
    client = coatcheck.connect(Path(sys.argv[1]))
    app = Flask("first answer")
    app.session_interface = CoatcheckSessionInterface(client)

    @app.get("/cart")
    def cart() -> str:
        user: str = session[READ_KEY]
        return user

    side = Side("first answer", app, [sys.stdin.readline().strip()])
    began = perf_counter_ns()
    with app.request_context(side.request(0).environ):
        response = app.full_dispatch_request()
    taken = (perf_counter_ns() - began) / 1e6
    assert response.get_data(as_text=True).startswith("user-")
    print(json.dumps({"request_ms": taken}), flush=True)
    client.close()


if __name__ == "__main__":
    main()
