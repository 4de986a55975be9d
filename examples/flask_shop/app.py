"""A small shop whose sessions are kept in coatcheck.

Start it with ``python run_system.py demo``, or with ``flask --app examples/flask_shop/app run``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, render_template
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from werkzeug.wrappers import Response as WSGIResponse

import catalogue
import csrf
import footer
from account import account
from coatcheck.flask import Coatcheck
from race import race
from shop import cart, shop

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Everything from here, nothing inline."""


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The application. ``COATCHECK_HOME`` and ``COATCHECK_LANE`` come from the environment, or from ``config``."""
    app = Flask(__name__)
    # The demo speaks plain http on localhost, where not every browser sends a Secure cookie back. Behind https leave
    # this line out: the cookie is then Secure, under the name __Host-id. HttpOnly and SameSite=Lax it is anyway.
    app.config["COATCHECK_SECURE"] = False
    app.config.update(config or {})
    Coatcheck(app)
    footer.init_app(app)
    csrf.init_app(app)
    app.register_blueprint(shop)
    app.register_blueprint(account)
    app.register_blueprint(race)
    app.add_template_filter(catalogue.price)
    app.context_processor(lambda: {"cart_size": sum(count for _, count in cart())})
    app.after_request(_headers)
    app.register_error_handler(HTTPException, _problem)
    return app


def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _problem(error: HTTPException) -> WSGIResponse:
    if isinstance(error, ServiceUnavailable):  # the store cannot be asked, so this page does without the session
        page = current_app.jinja_env.get_template("closed.html").render()
    else:
        page = render_template("problem.html", error=error)
    answer = error.get_response()
    answer.set_data(page)
    return answer
