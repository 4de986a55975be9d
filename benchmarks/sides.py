"""The sides of the comparison at the level of Flask's session interface, all asked in the same words."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contents import CHANGED_KEY, READ_KEY, content

if TYPE_CHECKING:
    from flask import Flask, Request
    from flask.sessions import SessionInterface

REDIS: Final = "flask-session + redis"
COOKIE: Final = "flask signed cookie"
DIRECT: Final = "coatcheck direct"
ACTOR: Final = "coatcheck actor"

Operation = Callable[[list[int]], "array[int]"]


class Side:
    """One session library in a Flask application of its own, with sessions that exist already."""

    def __init__(self, name: str, app: Flask, cookies: Sequence[str]) -> None:
        """``cookies``: the value of the session cookie by session number; fewer than sessions are used in turn."""
        self.name = name
        self.app = app
        self.interface: SessionInterface = app.session_interface
        self._cookies = cookies
        self._cookie_name = self.interface.get_cookie_name(app)

    @property
    def sessions(self) -> int:
        """How many different cookies there are."""
        return len(self._cookies)

    @property
    def longest_cookie(self) -> int:
        """Bytes of the longest session cookie."""
        return max(map(len, self._cookies))

    def request(self, index: int, cookie: str | None = None) -> Request:
        """A request of the browser that has session number ``index``, or that sends this cookie instead."""
        value = self._cookies[index % len(self._cookies)] if cookie is None else cookie
        environ = dict(_ENVIRON)
        environ["HTTP_COOKIE"] = f"_ga=GA1.2.1234567890.1700000000; {self._cookie_name}={value}"
        return self.app.request_class(environ)

    def open(self, index: int) -> Any:
        """The session of session number ``index``."""
        return self.interface.open_session(self.app, self.request(index))

    def time_loads(self, indexes: list[int]) -> array[int]:
        """Nanoseconds of ``open_session`` and the first key read, one for each session number."""
        return self.time_opens([self.request(index) for index in indexes])

    def time_parsed_loads(self, indexes: list[int]) -> array[int]:
        """The same on requests whose cookies somebody has parsed before: without that work of Werkzeug's."""
        requests = [self.request(index) for index in indexes]
        for request in requests:
            assert request.cookies
        return self.time_opens(requests)

    def time_opens(self, requests: list[Request]) -> array[int]:
        """The same for requests that exist already; a real one comes with its cookies not parsed."""
        app, open_session = self.app, self.interface.open_session
        durations = array("q")
        for request in requests:
            began = perf_counter_ns()
            session: Any = open_session(app, request)
            session.get(READ_KEY)
            durations.append(perf_counter_ns() - began)
            # Freeing a big session takes time too: not within the next one's measurement.
            session = None
        return durations

    def time_saves(self, indexes: list[int]) -> array[int]:
        """Nanoseconds of ``save_session`` after one key was changed, one for each session number."""
        app, open_session, save_session = self.app, self.interface.open_session, self.interface.save_session
        durations = array("q")
        for number, index in enumerate(indexes):
            session: Any = open_session(app, self.request(index))
            session.get(READ_KEY)
            session[CHANGED_KEY] = f"/product/{number}"
            response = app.response_class()
            began = perf_counter_ns()
            save_session(app, session, response)
            durations.append(perf_counter_ns() - began)
            session = None
        return durations

    def verify(self, size: str, index: int, *, keeps: bool = True) -> None:
        """Make sure that the side gives back what was put in, and keeps what is saved.

        ``keeps``: False for a side that leaves the data with the browser. Raises AssertionError.
        """
        expected = content(size, index)
        found = {key: value for key, value in dict(self.open(index)).items() if not key.startswith("_")}
        if found != expected:
            differing = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
            msg = f"{self.name} does not give back what was put in; keys that differ: {', '.join(differing)}"
            raise AssertionError(msg)
        if keeps:
            for value in ("/verified", expected[CHANGED_KEY]):
                session = self.open(index)
                session[CHANGED_KEY] = value
                self.interface.save_session(self.app, session, self.app.response_class())
                if self.open(index)[CHANGED_KEY] != value:
                    msg = f"{self.name} does not keep what is saved"
                    raise AssertionError(msg)


_ENVIRON: Final[dict[str, Any]] = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/cart",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "shop.example",
    "SERVER_PORT": "443",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "203.0.113.9",
    "HTTP_HOST": "shop.example",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "wsgi.url_scheme": "https",
    "wsgi.version": (1, 0),
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
