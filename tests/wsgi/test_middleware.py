"""What the middleware does for one request, between two of wsgiref's validators."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from coatcheck import ConfigurationError, SessionTooLarge, StoreUnavailable, connect
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.wsgi import SessionMiddleware, WSGISession
from tests.client.test_twins import writer_at_work
from tests.web.fuzz import cookie_headers

Start = Callable[..., Any]
TEXT = [("Content-Type", "text/plain")]


@pytest.fixture
def client(home: Path) -> Iterator[SessionClient]:
    """The store behind the middleware."""
    with connect(home) as client:
        yield client


class Sent:
    """What a server got."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []

    def values(self, name: str) -> list[str]:
        """Of the headers of that name."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def set_cookie(self) -> str | None:
        """The header, of which there is one at most."""
        found = self.values("set-cookie")
        assert len(found) < 2
        return found[0] if found else None

    @property
    def token(self) -> str:
        """The token that it brings."""
        assert self.set_cookie is not None
        return self.set_cookie.partition("=")[2].partition(";")[0]

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def visit(app: Any, token: str | None = None, sent: Sent | None = None, *, valid: bool = True, **environ: Any) -> Sent:
    """One request, through the whole of it as a server does; ``valid``: between validators."""
    sent = Sent() if sent is None else sent
    scope: dict[str, Any] = {
        "HTTP_HOST": "shop.example",
        "REMOTE_ADDR": "203.0.113.9",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
    }
    scope.update(environ)
    setup_testing_defaults(scope)
    scope["wsgi.url_scheme"] = "https"
    if token is not None:
        scope["HTTP_COOKIE"] = f"a=b; __Host-id={token}"

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None and sent.status:
            raise exc_info[1].with_traceback(exc_info[2])
        sent.status, sent.headers = status, headers
        return sent.pieces.append

    if valid:
        app.app = validator(app.app)
    pieces = (validator(app) if valid else app)(scope, start_response)
    try:
        for piece in pieces:
            assert sent.status
            sent.pieces.append(piece)
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
    return sent


def session_of(environ: Any) -> WSGISession:
    """As applications get it."""
    session: WSGISession = environ["coatcheck.session"]
    return session


def writes(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Writes one key."""
    session_of(environ)["a"] = 1
    start_response("200 OK", list(TEXT))
    return [b"written"]


def reads(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Shows all of it."""
    start_response("200 OK", [*TEXT, ("Vary", "Accept")])
    return [json.dumps(session_of(environ)).encode()]


def test_a_session_from_its_first_key_to_its_end(client: SessionClient) -> None:
    """The cookie comes once, is read by the next request, and is taken away with all its attributes."""

    def logs_out(environ: Any, start_response: Start) -> Iterable[bytes]:
        session_of(environ).invalidate()
        start_response("200 OK", list(TEXT))
        return [b"bye"]

    def ignores(environ: Any, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "0")])
        return [b""]

    first = visit(SessionMiddleware(writes, client=client))
    assert first.set_cookie == f"__Host-id={first.token}; Max-Age=14400; Secure; HttpOnly; Path=/; SameSite=Lax"
    second = visit(SessionMiddleware(reads, client=client), first.token)
    assert (second.body, second.set_cookie, second.values("vary")) == (b'{"a": 1}', None, ["Accept, Cookie"])
    third = visit(SessionMiddleware(ignores, client=client), first.token)
    assert (third.set_cookie, third.values("vary")) == (None, [])
    last = visit(SessionMiddleware(logs_out, client=client), first.token)
    assert str(last.set_cookie).endswith("Max-Age=0; Secure; HttpOnly; Path=/; SameSite=Lax")
    assert client.find(first.token).reason == "deleted"


def test_the_headers_wait_for_the_first_piece(client: SessionClient) -> None:
    """A generator may use the session until then, as start_response itself may be called late; empty pieces count."""

    def generates(environ: Any, start_response: Start) -> Iterator[bytes]:
        session = session_of(environ)
        session["before"] = [1]
        start_response("200 OK", list(TEXT))
        session.login("ann")
        yield b""
        session["before"].append(2)
        yield b"piece"

    sent = visit(SessionMiddleware(generates, client=client))
    assert sent.body == b"piece"
    found = client.open(sent.token)
    assert (dict(found), found.principal) == ({"before": [1, 2]}, "ann")


def test_a_stream_says_that_it_may_depend_on_the_session(client: SessionClient) -> None:
    """Whoever it is for may be read when the headers have left: a shared cache would show it to the next visitor."""

    def generates(environ: Any, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"for "
        yield str(session_of(environ).principal).encode()

    token, _ = client.create({}, principal="ann")
    sent = visit(SessionMiddleware(generates, client=client), token)
    assert (sent.body, sent.values("vary")) == (b"for ann", ["Cookie"])


def test_what_write_sends_comes_after_the_commit(client: SessionClient) -> None:
    """The old way of sending: the first call settles the session, the rest is saved at the end."""
    found: list[Any] = []

    def writes_now(environ: Any, start_response: Start) -> Iterable[bytes]:
        session = session_of(environ)
        session["a"] = 1
        write = start_response("200 OK", list(TEXT))
        write(b"one")
        found.append(session.token)
        session["b"] = 2
        write(b"two")
        return []

    sent = visit(SessionMiddleware(writes_now, client=client))
    assert sent.body == b"onetwo"
    assert found == [sent.token]
    assert client.open(sent.token) == {"a": 1, "b": 2}


def test_what_can_no_longer_be_saved_is_logged(client: SessionClient, caplog: pytest.LogCaptureFixture) -> None:
    """A first key after the headers have left would need a cookie."""

    def late(environ: Any, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"one"
        session_of(environ)["late"] = "a value"

    sent = visit(SessionMiddleware(late, client=client), PATH_INFO="/late")
    assert (sent.body, sent.set_cookie, client.stats().sessions) == (b"one", None, 0)
    (line,) = [each.getMessage() for each in caplog.records if each.name == "coatcheck.wsgi"]
    assert "GET '/late'" in line
    assert "a value" not in line


def test_a_file_goes_to_the_server_as_it_is(client: SessionClient) -> None:
    """So that it can be sent by the kernel; a list keeps its length too."""

    def serves(environ: Any, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"file"))
        return wrapped

    def listed(environ: Any, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        return [b"one"]

    for app, kind in ((serves, FileWrapper), (listed, list)):
        environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
        setup_testing_defaults(environ)
        assert type(SessionMiddleware(app, client=client)(environ, lambda *_: None)) is kind  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["raises", "raises late", "answers", "says so late", "is left"])
def test_a_request_that_fails_changes_nothing(client: SessionClient, how: str) -> None:
    """No key, no flash, no cookie, and the flashes that it took are there for the next page."""
    token, _ = client.create({"a": 1})
    with_flash = client.open(token)
    with_flash.flash("kept")
    with_flash.commit()
    closed = []

    def fails(environ: Any, start_response: Start) -> Iterator[bytes]:
        session = session_of(environ)
        try:
            if how == "raises late":
                start_response("200 OK", list(TEXT))
                yield b"one"
            assert len(session.take_flashes()) == 1
            session["b"] = 2
            session.flash("own")
            if how == "answers":
                start_response("500 Sorry", list(TEXT))
                yield b"sorry"
                return
            start_response("200 OK", list(TEXT)) if how != "raises late" else None
            msg = "as it was told to"
            if how != "says so late":
                raise LookupError(msg)
            try:
                raise LookupError(msg)
            except LookupError:
                start_response("500 Sorry", list(TEXT), sys.exc_info())
            yield b"sorry"
        finally:
            closed.append(True)

    app = SessionMiddleware(fails, client=client)
    sent = Sent()
    if how in ("answers", "says so late"):
        visit(app, token, sent)
        assert sent.status == "500 Sorry"
    else:
        with pytest.raises(LookupError):
            visit(app, token, sent)
    assert closed == [True]
    assert sent.set_cookie is None
    found = client.open(token)
    assert (dict(found), [each.message for each in found.flashes()]) == ({"a": 1}, ["kept"])


def test_what_is_refused_at_the_commit_is_an_error(home: Path) -> None:
    """Nothing has left then, so the server answers with its own page of errors."""

    def fills(environ: Any, start_response: Start) -> Iterable[bytes]:
        session_of(environ)["big"] = "x" * 5000
        start_response("200 OK", list(TEXT))
        return [b"done"]

    with connect(home, max_session_bytes=1000) as client:
        sent = Sent()
        with pytest.raises(SessionTooLarge):
            visit(SessionMiddleware(fills, client=client), sent=sent, valid=False)
        assert sent.status == ""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_outage_is_a_503(home: Path, method: str) -> None:
    """Where it is used and where it is committed; no cookie; without the session the page is as ever."""
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"done"])

        def close(self) -> None:
            closed.append(True)

    def closes(environ: Any, start_response: Start) -> Iterable[bytes]:
        session_of(environ)["a"] = 2
        start_response("200 OK", list(TEXT))
        return Pieces()

    with connect(home, gate_timeout=0.1) as client:
        token, _ = client.create({"a": 1})
        with writer_at_work(home):
            for app in (writes, closes):
                for presented in (token, None):
                    sent = visit(SessionMiddleware(app, client=client), presented, REQUEST_METHOD=method, valid=False)
                    assert (sent.status, sent.set_cookie) == ("503 Service Unavailable", None)
                    assert sent.values("retry-after") == ["5"]
                    assert bool(sent.body) is (method == "GET")
            assert visit(SessionMiddleware(reads, client=client), token).body == b'{"a": 1}'
        assert closed == [True, True]
        assert client.open(token) == {"a": 1}


def test_other_policies_go_on_without(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As guests: the page is there, the cookie left alone."""

    def fails(*_: Any, **__: Any) -> Any:
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    with connect(home, on_outage="anonymous") as client:
        token, _ = client.create({"a": 1})
        assert isinstance(client.store, LmdbStore)
        monkeypatch.setattr(client.store, "find", fails)
        sent = visit(SessionMiddleware(reads, client=client), token)
        assert (sent.status, sent.body, sent.set_cookie) == ("200 OK", b"{}", None)


def test_what_was_written_for_beaker(client: SessionClient) -> None:
    """The key in the environment, the function beside it, and the methods in use."""

    def beakers(environ: Any, start_response: Start) -> Iterable[bytes]:
        session = environ["beaker.session"]
        assert environ["beaker.get_session"]() is session is environ["coatcheck.session"]
        if "dropped" in session:
            session.revert()
        new = session.is_new
        assert (session.id is None, session.created is None, session.last_accessed is None) == (new, new, new)
        session.lock()
        session["visits"] = session.get("visits", 0) + 1
        session.save()
        session.save(accessed_only=True)
        session.persist()
        session.unlock()
        if environ["PATH_INFO"] == "/regenerate":
            session.regenerate_id()
        elif environ["PATH_INFO"] == "/delete":
            session.delete()
        elif environ["PATH_INFO"] == "/revert":
            session.revert()
        start_response("200 OK", list(TEXT))
        return [str(session.get("visits")).encode()]

    def app() -> SessionMiddleware:
        return SessionMiddleware(beakers, client=client, environ_key="beaker.session")

    first = visit(app())
    assert visit(app(), first.token).body == b"2"
    assert visit(app(), first.token, PATH_INFO="/revert").body == b"2"
    second = visit(app(), first.token, PATH_INFO="/regenerate")
    assert second.token != first.token
    assert client.find(first.token).reason == "retired"
    record = client.load(second.token)
    assert record is not None
    assert dict(record.data) == {"visits": 3}
    visit(app(), second.token, PATH_INFO="/delete")
    assert client.find(second.token).reason == "deleted"


def test_a_token_in_a_header(client: SessionClient) -> None:
    """For clients that keep no cookies."""
    first = visit(SessionMiddleware(writes, client=client, token_header="X-Session-Token"))
    (token,) = first.values("x-session-token")
    assert first.set_cookie is None
    again = visit(SessionMiddleware(reads, client=client, token_header="X-Session-Token"), HTTP_X_SESSION_TOKEN=token)
    assert again.body == b'{"a": 1}'
    assert again.values("vary") == ["Accept, X-Session-Token"]


def test_no_header_breaks_anything_or_is_reflected(client: SessionClient) -> None:
    """Cookies that nobody sent in good faith: no error, nobody else's session, a token of our own or none."""
    token, _ = client.create({"mark": "mine"})
    client.create({"mark": "somebody else's"})
    for header in cookie_headers(token):
        text = header.decode("latin-1")
        sent = visit(SessionMiddleware(reads, client=client), HTTP_COOKIE=text)
        assert (sent.status, json.loads(sent.body).get("mark", "mine")) == ("200 OK", "mine")
        assert sent.set_cookie is None or not sent.token
        sent = visit(SessionMiddleware(writes, client=client), HTTP_COOKIE=text)
        assert sent.status == "200 OK"
        if sent.set_cookie is not None:
            assert sent.token not in text


def test_what_cannot_work_is_said_when_it_is_made(home: Path, client: SessionClient) -> None:
    """Not to the first visitor."""
    with pytest.raises(ConfigurationError, match="max_age"):
        SessionMiddleware(writes, home=home, max_age=0)
    with pytest.raises(ConfigurationError, match="home"):
        SessionMiddleware(writes, home=home, client=client)
    with pytest.raises(ConfigurationError, match="Secure"):
        SessionMiddleware(writes, home=home, session_cookie="__Host-x", https_only=False)


def test_an_application_that_forgets_start_response(client: SessionClient) -> None:
    """As any server says it."""
    with pytest.raises(AssertionError, match="start_response"):
        visit(SessionMiddleware(lambda environ, start_response: [b"x"], client=client), valid=False)
