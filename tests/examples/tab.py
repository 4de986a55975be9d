"""A tab of a browser: any method, bodies, one cookie."""

from __future__ import annotations

import http.client
import json
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.flask.gunicorn import COOKIE, Answer


class Tab:
    """Keeps the session cookie, as a browser does for https."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._port = port
        self.token = token

    def twin(self) -> Tab:
        """Another tab with the same cookie."""
        return Tab(self._port, self.token)

    def ask(self, method: str, path: str, body: dict[str, str] | None = None, *, form: bool = False) -> Answer:
        """One request over a connection of its own; ``body`` as JSON, or as of a form."""
        headers = {} if self.token is None else {"Cookie": f"{COOKIE}={self.token}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
            data = urlencode(body) if form else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        if answer.set_cookie is not None:
            morsel = SimpleCookie(answer.set_cookie)[COOKIE]
            self.token = None if morsel["max-age"] == "0" else morsel.value
        return answer
