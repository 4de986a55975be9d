"""One WSGI response, and its session that is settled before the headers leave."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from coatcheck.errors import CoatcheckError
from coatcheck.web.refusing import ANSWERED, refusal_of
from coatcheck.web.secure import is_loopback
from coatcheck.web.settling import commit_leftovers, headers_of, settle, warn_of_http

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from coatcheck.web.options import WebOptions
    from coatcheck.wsgi.session import WSGISession

_log = logging.getLogger("coatcheck.wsgi")


class Answer:
    """What the application answers, held back until its first piece is there: only then the headers may leave."""

    def __init__(
        self, environ: WSGIEnvironment, session: WSGISession, options: WebOptions, start_response: StartResponse
    ) -> None:
        self._environ = environ
        self._session = session
        self._options = options
        self._start_response = start_response
        self._said: tuple[str, list[tuple[str, str]], Any] | None = None
        self._write: Callable[[bytes], object] | None = None
        self._streams = False
        """Whether code of the application runs after the headers have left."""

    def run(self, app: WSGIApplication) -> Iterable[bytes]:
        """Call the application, up to its first piece."""
        pieces: Iterable[bytes] = ()
        try:
            pieces = app(self._environ, self.start_response)
            if self._is_complete(pieces):
                written = self._write is not None
                self._begin()
                if written:
                    self.over()
                return pieces
            self._streams = True
            rest = iter(pieces)
            first = next(rest, None)
            self._begin()
        except ANSWERED as error:
            _close(pieces)
            self._session.abandon()
            if self._write is not None:
                raise
            return self._refuse(error)
        except BaseException:
            _close(pieces)
            self._session.abandon()
            raise
        return Pieces(first, rest, pieces, self)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        """What the application is given as ``start_response``: it says its status, which may still change."""
        if exc_info is not None and self._write is not None:
            # The headers have left: the server raises what happened.
            self._start_response(status, headers, exc_info)
        if self._said is not None and exc_info is None:
            msg = "start_response was called twice without exc_info"
            raise AssertionError(msg)
        self._said = status, list(headers), exc_info
        return self._write_now

    def _write_now(self, data: bytes) -> None:
        self._streams = True
        self._begin()
        assert self._write is not None
        self._write(data)

    def _begin(self) -> None:
        """Settle the session and let the headers leave, once."""
        if self._write is not None:
            return
        if self._said is None:
            msg = "the application has sent its first piece without calling start_response"
            raise AssertionError(msg)
        status, headers, exc_info = self._said
        settled = settle(self._session, self._options, int(status[:3]))
        warn_of_http(settled, self._options, _log, over_http=self._came_over_http)

        def present(name: str) -> list[str]:
            return [value for each, value in headers if each.lower() == name.lower()]

        streams = self._streams and not present("Content-Length")
        added, replaced = headers_of(settled, self._options, present, streams=streams)
        if added:
            headers = [pair for pair in headers if pair[0].lower() not in replaced] + added
        self._write = (
            self._start_response(status, headers)
            if exc_info is None
            else self._start_response(status, headers, exc_info)
        )

    def _is_complete(self, pieces: Iterable[bytes]) -> bool:
        """Whether no code of the application runs any more: then the server gets its list, or its own file wrapper."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        return isinstance(pieces, (list, tuple)) or (isinstance(wrapper, type) and isinstance(pieces, wrapper))

    def _refuse(self, error: CoatcheckError) -> list[bytes]:
        refusal = refusal_of(error, _log)
        self._start_response(f"{refusal.status} {refusal.phrase}", refusal.all_headers())
        return [b"" if self._environ["REQUEST_METHOD"] == "HEAD" else refusal.body]

    def _came_over_http(self) -> bool:
        environ = self._environ
        host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
        return environ["wsgi.url_scheme"] == "http" and not is_loopback(host)

    def over(self) -> None:
        """The last piece is there: save what was written since the headers have left."""
        commit_leftovers(self._session, _log, self._where)

    def failed(self) -> None:
        """A later piece could not be made, or nobody waits for it."""
        self._session.abandon()

    def _where(self) -> str:
        return f"{self._environ['REQUEST_METHOD']} {self._environ.get('PATH_INFO', '')!r}"


class Pieces(Iterator[bytes]):
    """The pieces of the body, the first of which is there; closes what the application returned."""

    def __init__(self, first: bytes | None, rest: Iterator[bytes], pieces: Iterable[bytes], answer: Answer) -> None:
        self._first = first
        self._rest = rest
        self._pieces = pieces
        self._answer = answer

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return next(self._rest)
        except StopIteration:
            self._answer.over()
            raise
        except BaseException:
            self._answer.failed()
            raise

    def close(self) -> None:
        """The server has sent it, or has given up."""
        try:
            _close(self._pieces)
        finally:
            # A generator may write to the session when it is closed, which its last piece has not seen.
            self._answer.over()


def _close(pieces: Iterable[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
