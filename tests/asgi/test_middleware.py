"""What the middleware does for one request, on asyncio and on trio."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from coatcheck import ConfigurationError, Lifetimes, SessionTooLarge, connect
from coatcheck.asgi import ASGISession, SessionMiddleware, SessionNotLoaded, load_session
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.asgi.driving import LOOPS, Sent, answer, on, scope_of, visit


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    name: str = request.param
    return name


@pytest.fixture
def client(home: Path) -> Iterator[SessionClient]:
    """The store behind the middleware."""
    with connect(home) as client:
        yield client


async def writes(scope: Any, receive: Any, send: Any) -> None:
    """Writes one key."""
    scope["session"]["a"] = 1
    await answer(send)


async def reads(scope: Any, receive: Any, send: Any) -> None:
    """Shows all of it, by C code that bypasses overridden methods."""
    scope["session"].mark_accessed()
    await answer(send, body=json.dumps(dict.copy(scope["session"])).encode())


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    """Does not look at it."""
    await answer(send, headers=[(b"vary", b"Accept")])


# What it sends -----------------------------------------------------------------------------------------------------


def test_a_session_from_its_first_key_to_its_end(loop: str, client: SessionClient) -> None:
    """The cookie comes once, is read by the next request, and is taken away with all its attributes."""

    async def logs_out(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        await answer(send)

    async def run() -> None:
        first = await visit(SessionMiddleware(writes, client=client))
        token = first.token
        assert first.set_cookie == f"__Host-id={token}; Max-Age=14400; Secure; HttpOnly; Path=/; SameSite=Lax"
        assert first.values("vary") == ["Cookie"]
        second = await visit(SessionMiddleware(reads, client=client), token)
        assert (second.body, second.set_cookie, second.values("vary")) == (b'{"a": 1}', None, ["Cookie"])
        third = await visit(SessionMiddleware(ignores, client=client), token)
        assert (third.set_cookie, third.values("vary")) == (None, ["Accept"])
        last = await visit(SessionMiddleware(logs_out, client=client), token)
        assert str(last.set_cookie).endswith("Max-Age=0; Secure; HttpOnly; Path=/; SameSite=Lax")
        assert client.find(token).reason == "deleted"

    on(loop, run)


def test_vary_is_merged(client: SessionClient) -> None:
    """One header, in which nothing is lost and nothing twice."""

    async def varies(scope: Any, receive: Any, send: Any) -> None:
        assert "a" not in scope["session"]
        assert len(scope["session"]) == 0
        await answer(send, headers=[(b"Vary", b"Accept"), (b"vary", b"Origin"), (b"x-kept", b"1")])

    async def run() -> None:
        sent = await visit(SessionMiddleware(varies, client=client))
        assert sent.values("vary") == ["Accept, Origin, Cookie"]
        assert sent.values("x-kept") == ["1"]

    on("asyncio", run)


def test_no_store_is_for_responses_with_a_token(client: SessionClient) -> None:
    """It replaces what the application says about caching, there and nowhere else."""

    async def caches(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await answer(send, headers=[(b"cache-control", b"max-age=60")])

    async def run() -> None:
        app = SessionMiddleware(caches, client=client, no_store=True)
        first = await visit(app)
        assert first.values("cache-control") == ["no-store"]
        assert (await visit(app, first.token)).values("cache-control") == ["max-age=60"]

    on("asyncio", run)


def test_a_token_in_a_header(client: SessionClient) -> None:
    """For clients that keep no cookies: in and out, Vary by it, and no cookie in either direction."""

    async def run() -> None:
        app = SessionMiddleware(writes, client=client, token_header="X-Session-Token")
        first = await visit(app)
        (token,) = first.values("x-session-token")
        assert (first.set_cookie, first.values("vary")) == (None, ["X-Session-Token"])
        again = await visit(
            SessionMiddleware(reads, client=client, token_header="X-Session-Token"),
            headers=[(b"x-session-token", token.encode())],
        )
        assert again.body == b'{"a": 1}'
        with_cookie = await visit(SessionMiddleware(reads, client=client, token_header="X-Session-Token"), token)
        assert with_cookie.body == b"{}"

    on("asyncio", run)


def test_a_token_in_a_header_is_for_no_cache(client: SessionClient) -> None:
    """Shared caches, which keep no Set-Cookie, give it to whoever comes next: Vary tells two without one not apart."""

    async def caches(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await answer(send, headers=[(b"cache-control", b"public, max-age=60")])

    async def run() -> None:
        app = SessionMiddleware(caches, client=client, token_header="X-Session-Token")
        first = await visit(app)
        assert first.values("cache-control") == ["no-store"]
        known = [(b"x-session-token", first.values("x-session-token")[0].encode())]
        assert (await visit(app, headers=known)).values("cache-control") == ["public, max-age=60"]

    on("asyncio", run)


def test_lifetimes_follow_max_age(home: Path, client: SessionClient) -> None:
    """It is the idle lifetime and stretches the absolute one; None is a cookie that goes with the browser."""

    async def run() -> None:
        cases = [(60, "Max-Age=14400", 60), (10**6, "Max-Age=1000000", 10**6), (None, None, 1800)]
        for max_age, attribute, idle in cases:
            sent = await visit(SessionMiddleware(writes, client=client, max_age=max_age))
            assert (attribute in str(sent.set_cookie)) if attribute else "Max-Age" not in str(sent.set_cookie)
            record = client.load(sent.token)
            assert record is not None
            assert record.lifetimes.idle == idle

    on("asyncio", run)


def test_other_lifetimes_send_the_cookie_again(client: SessionClient) -> None:
    """Remember me: the same token, for longer."""

    async def remembers(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].set_lifetimes(Lifetimes(idle=3600, absolute=30 * 86400))
        await answer(send)

    async def run() -> None:
        token, _ = client.create({"a": 1})
        sent = await visit(SessionMiddleware(remembers, client=client), token)
        assert sent.token == token
        assert "Max-Age=2592000" in str(sent.set_cookie)

    on("asyncio", run)


def test_what_starlettes_takes_is_taken(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By position too; the key is said to have no use and is kept nowhere."""
    caplog.set_level(logging.INFO, logger="coatcheck.web")
    app = SessionMiddleware(writes, "sesame", "shop", None, "/shop", "strict", True, "example.org", False, home=home)

    sent = on("asyncio", lambda: visit(app))

    attributes = "Domain=example.org; Secure; HttpOnly; Path=/shop; SameSite=Strict"
    assert sent.set_cookie == f"shop={sent.token}; {attributes}"
    assert "secret_key is accepted and not used" in caplog.text
    assert "sesame" not in caplog.text + repr(vars(app))
    app.client.close()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"max_age": 0}, "max_age"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": True}, "max_age"),
        ({"session_cookie": "a b"}, "a b"),
        ({"session_cookie": "__Host-x", "https_only": False}, "Secure"),
        ({"same_site": "sometimes"}, "SameSite"),
        ({"https_only": "perhaps"}, "COATCHECK_SECURE"),
        ({"token_header": "Cookie"}, "token_header"),
        ({"path": "/a; b"}, "path"),
        ({"on_outage": "panic"}, "on_outage"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_made(home: Path, arguments: dict[str, Any], word: str) -> None:
    """Not to the first visitor."""
    with pytest.raises(ConfigurationError, match=word):
        SessionMiddleware(ignores, home=home, **arguments)


def test_a_client_or_settings_for_one(home: Path, client: SessionClient) -> None:
    """Not both, as one of them would have no effect."""
    with pytest.raises(ConfigurationError, match="home"):
        SessionMiddleware(ignores, home=home, client=client)


def test_plain_http_is_chosen_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For development: a cookie that is not Secure, under the name that says so; an argument goes first."""
    monkeypatch.setenv("COATCHECK_SECURE", "false")
    assert SessionMiddleware(ignores, home=home).options.transport.name == "id"
    assert SessionMiddleware(ignores, home=home, https_only=True).options.transport.name == "__Host-id"


# When it saves -----------------------------------------------------------------------------------------------------


def test_the_session_is_committed_before_the_headers_leave(loop: str, client: SessionClient) -> None:
    """Whoever has the response finds what it says."""
    token, _ = client.create({})

    async def run() -> None:
        found: list[Any] = []

        async def send(message: Any) -> None:
            record = client.load(token)
            assert record is not None
            found.append(dict(record.data))

        await SessionMiddleware(writes, client=client)(scope_of(token=token), None, send)  # type: ignore[arg-type]
        assert found == [{"a": 1}, {"a": 1}]

    on(loop, run)


def test_a_stream_saves_before_its_last_piece_and_afterwards(loop: str, client: SessionClient) -> None:
    """What it wrote, and what a background task did, nested values included; neither brings a token."""
    token, _ = client.create({"list": [0]})

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        held = session["list"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        held.append(1)
        await send({"type": "http.response.body", "body": b"two"})
        assert client.open(token)["list"] == [0, 1]
        session["background"] = True

    async def run() -> None:
        sent = await visit(SessionMiddleware(streams, client=client), token)
        assert sent.body == b"onetwo"
        assert sent.set_cookie is None
        assert client.open(token) == {"list": [0, 1], "background": True}

    on(loop, run)


def test_a_stream_says_that_it_may_depend_on_the_session(client: SessionClient) -> None:
    """Whoever it is for may be read when the headers have left: a shared cache would show it to the next visitor."""

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"for ", "more_body": True})
        await send({"type": "http.response.body", "body": str(scope["session"].principal).encode()})

    async def has_not_changed(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body"})

    async def run() -> None:
        token, _ = client.create({}, principal="ann")
        sent = await visit(SessionMiddleware(streams, client=client), token)
        assert (sent.body, sent.values("vary")) == (b"for ann", ["Cookie"])
        assert (await visit(SessionMiddleware(has_not_changed, client=client), token)).values("vary") == []

    on("asyncio", run)


def test_what_can_no_longer_be_saved_is_logged(client: SessionClient, caplog: pytest.LogCaptureFixture) -> None:
    """A first key after the headers have left would need a cookie; the visitor has his answer all the same."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)
        scope["session"]["late"] = "a value"

    async def run() -> None:
        assert (await visit(SessionMiddleware(late, client=client))).status == 200

    on("asyncio", run)
    assert client.stats().sessions == 0
    (line,) = [each.getMessage() for each in caplog.records if each.name == "coatcheck.asgi"]
    assert "GET '/there'" in line
    assert "a value" not in line


@pytest.mark.parametrize("how", ["raises", "answers", "says nothing"])
def test_a_request_that_fails_changes_nothing(loop: str, client: SessionClient, how: str) -> None:
    """No key, no flash of its own, no cookie, and the flashes that it took are there for the next page."""
    token, _ = client.create({"a": 1})
    with_flash = client.open(token)
    with_flash.flash("kept")
    with_flash.commit()

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        assert len(await session.atake_flashes()) == 1
        session["b"] = 2
        session.flash("own")
        session.login("ann")
        if how == "raises":
            msg = "as it was told to"
            raise LookupError(msg)
        if how == "answers":
            await answer(send, 500)

    async def run() -> None:
        sent = Sent()
        app = SessionMiddleware(fails, client=client)
        if how == "raises":
            with pytest.raises(LookupError):
                await visit(app, token, sent)
        else:
            await visit(app, token, sent)
        if sent.messages:
            assert (sent.set_cookie, sent.values("vary")) == (None, ["Cookie"])
        session = client.open(token)
        assert (dict(session), session.principal) == ({"a": 1}, None)
        assert [each.message for each in session.flashes()] == ["kept"]

    on(loop, run)


def test_an_answer_that_fails_brings_a_token_that_was_committed_by_hand(loop: str, client: SessionClient) -> None:
    """The store has retired the one that the browser holds: without the new one it would be signed out."""

    async def signs_in(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].login("ann")
        await scope["session"].acommit()
        scope["session"]["lost"] = 1
        await answer(send, 503)

    async def run() -> None:
        token, _ = client.create({"a": 1})
        sent = await visit(SessionMiddleware(signs_in, client=client), token)
        record = client.load(sent.token)
        assert record is not None
        assert (record.principal, record.data) == ("ann", {"a": 1})

    on(loop, run)


def test_a_cancelled_request_changes_nothing(loop: str, client: SessionClient) -> None:
    """The visitor has gone: what it took is given back even then."""
    token, _ = client.create({})
    session = client.open(token)
    session.flash("kept")
    session.commit()

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].atake_flashes()
        scope["session"]["a"] = 1
        await anyio.sleep_forever()

    async def run() -> None:
        with anyio.move_on_after(0.05):
            await visit(SessionMiddleware(hangs, client=client), token)

    on(loop, run)
    found = client.open(token)
    assert (dict(found), [each.message for each in found.flashes()]) == ({}, ["kept"])


def test_what_is_refused_at_the_commit_is_the_applications_error(loop: str, home: Path) -> None:
    """Nothing has left then, so the server answers with its own page of errors."""

    async def fills(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["big"] = "x" * 5000
        await answer(send)

    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        try:
            await fills(scope, receive, send)
        except SessionTooLarge:
            return

    async def run() -> None:
        with connect(home, max_session_bytes=1000) as client:
            for app in (fills, swallows):
                sent = Sent()
                with pytest.raises(SessionTooLarge):
                    await visit(SessionMiddleware(app, client=client), sent=sent)
                assert sent.messages == []

    on(loop, run)


# How it is loaded --------------------------------------------------------------------------------------------------


def test_a_lazy_session_waits_to_be_loaded(loop: str, client: SessionClient) -> None:
    """Using it before is an error that says what to await; a page that does not use it asks the store for nothing."""
    token, _ = client.create({"a": 1})

    async def lazily(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        with pytest.raises(SessionNotLoaded, match="await load_session"):
            session.get("a")
        assert await load_session(scope) is session
        assert session == {"a": 1}
        session["b"] = 2
        await answer(send)

    async def run() -> None:
        await visit(SessionMiddleware(lazily, client=client, lazy=True), token)
        assert client.open(token) == {"a": 1, "b": 2}
        untouched = await visit(SessionMiddleware(ignores, client=client, lazy=True), token)
        assert (untouched.set_cookie, untouched.values("vary")) == (None, ["Accept"])

    on(loop, run)


def test_load_session_without_the_middleware_says_so() -> None:
    """What is there, and what to add."""
    with pytest.raises(RuntimeError, match=r"scope\['session'\] is nothing: add coatcheck"):
        on("asyncio", lambda: load_session({}))
    with pytest.raises(RuntimeError, match=r"a builtins\.dict: add coatcheck"):
        on("asyncio", lambda: load_session({"session": {}}))


def test_the_address_and_the_browser_are_noted_at_a_login(client: SessionClient) -> None:
    """For the list of one's own sessions."""

    async def signs_in(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].login("ann")
        await answer(send)

    async def run() -> None:
        await visit(SessionMiddleware(signs_in, client=client), headers=[(b"user-agent", b"Lynx" * 1000)])
        (info,) = client.sessions_of("ann")
        assert (info.meta["ip"], info.meta["user_agent"]) == ("203.0.113.9", ("Lynx" * 1000)[:400])

    on("asyncio", run)


def test_mutators_are_seen(client: SessionClient) -> None:
    """What Starlette's tests ask of its own class, of a session that is loaded."""
    token, _ = client.create({"a": "1", "b": "2"})

    def opened() -> ASGISession:
        return ASGISession(SessionMiddleware(ignores, client=client).options, token)

    changes: list[Callable[[ASGISession], Any]] = [
        lambda session: session.__setitem__("c", "3"),
        lambda session: session.__delitem__("a"),
        lambda session: session.clear(),
        lambda session: session.pop("a"),
        lambda session: session.popitem(),
        lambda session: session.setdefault("c", "3"),
        lambda session: session.update(c="3"),
        lambda session: session.__ior__({"c": "3"}),
        lambda session: session.mark_modified(),
    ]
    for change in changes:
        session = opened()
        assert not session.modified
        change(session)
        assert session.modified
        assert session.accessed
    looks: list[Callable[[ASGISession], Any]] = [lambda each: each.pop("x", None), lambda each: each.setdefault("a", 9)]
    for look in looks:
        session = opened()
        look(session)
        assert not session.modified


def test_the_lifespan_closes_what_was_made_here(home: Path, loop: str) -> None:
    """And passes all of it on; other kinds of connections too."""
    seen = []

    async def lives(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})

    async def run() -> None:
        app = SessionMiddleware(lives, home=home)
        app.client.create({})
        closed = []
        app.client.store.close = lambda: closed.append(True)  # type: ignore[method-assign]
        sent = Sent()

        async def send(message: Any) -> None:
            sent.messages.append(message)

        await app({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
        assert closed == [True]
        await app({"type": "other"}, None, send)  # type: ignore[arg-type]
        assert sent.messages == [{"type": "lifespan.shutdown.complete"}]

    on(loop, run)
    assert seen == ["lifespan", "other"]


def test_a_login_that_is_too_long_ago_is_a_403(loop: str, client: SessionClient) -> None:
    """Nothing of the request is kept, and the cookie is left alone."""

    async def changes_the_password(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["changed"] = True
        scope["session"].require_recent_auth(60)

    async def run() -> None:
        token, _ = client.create({}, principal="ann")
        sent = await visit(SessionMiddleware(changes_the_password, client=client), token)
        assert (sent.status, sent.set_cookie, sent.values("cache-control")) == (403, None, ["no-store"])
        assert client.open(token) == {}

    on(loop, run)


def test_reading_stores_one_touch_an_interval(loop: str, store: LmdbStore, clock: FakeClock) -> None:
    """M6: five readers in an interval write once, one that does not look writes nothing, and no cookie comes."""
    held = SessionClient(store.settings, store=store, clock=clock)
    token, record = held.create({"a": 1})
    seen: list[int] = []

    async def run() -> None:
        for step in range(3):
            clock.advance(61)
            await visit(SessionMiddleware(ignores, client=held), token)
            assert last_seen() == (seen[-1] if seen else record.last_seen_at)
            for _ in range(5):
                clock.advance(1)
                sent = await visit(SessionMiddleware(reads, client=held), token)
                assert sent.set_cookie is None
                seen.append(last_seen())
            assert len(set(seen)) == step + 1

    def last_seen() -> int:
        found = held.load(token, touch=False)
        assert found is not None
        return found.last_seen_at

    on(loop, run)


def test_an_exception_in_a_stream_undoes_nothing_that_was_stored(client: SessionClient) -> None:
    """The headers had left with it; what came later is dropped."""
    token, _ = client.create({})

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["before"] = 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        scope["session"]["after"] = 1
        msg = "as it was told to"
        raise LookupError(msg)

    with pytest.raises(LookupError):
        on("asyncio", lambda: visit(SessionMiddleware(breaks, client=client), token))
    assert client.open(token) == {"before": 1}


def test_a_session_that_outlives_its_cookie_sends_it_again(store: LmdbStore, clock: FakeClock) -> None:
    """Once in a touch interval, where it is used; browsers keep no cookie longer than 400 days."""
    held = SessionClient(store.settings, store=store, clock=clock)
    token, _ = held.create({"a": 1}, lifetimes=Lifetimes(idle=10**7, absolute=None, touch_interval=60))

    async def run() -> None:
        app = SessionMiddleware(reads, client=held)
        assert (await visit(app, token)).set_cookie is None
        clock.advance(61)
        assert (await visit(SessionMiddleware(ignores, client=held), token)).set_cookie is None
        sent = await visit(app, token)
        assert sent.token == token
        assert "Max-Age=34560000" in str(sent.set_cookie)
        assert (await visit(app, token)).set_cookie is None
        clock.advance(61)
        assert (await visit(SessionMiddleware(reads, client=held, max_age=None), token)).set_cookie is None

    on("asyncio", run)
