"""Sessions that were kept elsewhere move in with the first request of their users; the loop turns meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from coatcheck import ConfigurationError, StoreUnavailable, connect
from coatcheck.adopt import LegacySession
from coatcheck.asgi import SessionMiddleware, load_session
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import together
from tests.adopt.memory import MemorySource
from tests.asgi.driving import LOOPS, Sent, answer, on, scope_of, visit
from tests.support.processes import ROOT
from tests.web.old import OldShop, in_redis, token_from
from tests.web.serving import UVICORN, serving

ID = "an-old-id-of-ann-0001"
GONE = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/"
LONGEST_STALL = 0.15
"""Seconds for which the loop may stand still, while the old store takes many times as long."""


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


@pytest.fixture
def source() -> MemorySource:
    """An old store with a session of Ann's."""
    return MemorySource({ID: {"user": "ann", "cart": [1, 2]}})


async def shows(scope: Any, receive: Any, send: Any) -> None:
    """Who is signed in, and the data."""
    session = await load_session(scope)
    found = {"user": session.principal, "cart": session.get("cart"), "visits": session.get("visits")}
    await answer(send, body=json.dumps(found).encode())


async def counts(scope: Any, receive: Any, send: Any) -> None:
    """Counts itself."""
    scope["session"].increment("visits")
    await answer(send)


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    """Does not use it."""
    await answer(send)


async def logs_out(scope: Any, receive: Any, send: Any) -> None:
    """Ends it."""
    scope["session"].logout()
    await answer(send)


async def takes(scope: Any, receive: Any, send: Any) -> None:
    """Shows the flashes."""
    await answer(send, body=json.dumps([each.message for each in await scope["session"].atake_flashes()]).encode())


async def with_cookie(app: Any, value: str, **more: Any) -> Sent:
    """A request with the old cookie."""
    return await visit(app, headers=[(b"cookie", f"session={value}".encode("latin-1"))], **more)


def cookies_of(sent: Sent) -> list[str]:
    """``name=value`` of each cookie that is set."""
    return [each.partition(";")[0] for each in sent.values("set-cookie")]


def test_nobody_is_signed_out(loop: str, client: SessionClient, old: OldShop) -> None:
    """User, data and flashes are there; the new cookie comes and the old one goes; the old row is gone."""
    app = SessionMiddleware(shows, client=client, adopt=old.source())

    async def run() -> None:
        value = old.cookie_of("ann")
        first = await with_cookie(app, value)
        assert json.loads(first.body) == {"user": "ann", "cart": [1, {"coat": 2}], "visits": None}
        ours, gone = first.values("set-cookie")
        assert (ours[:10], gone, first.values("vary")) == ("__Host-id=", GONE, ["Cookie"])
        assert (old.rows(), client.stats().sessions, client.counters["adopted"]) == (0, 1, 1)
        token = cookies_of(first)[0].partition("=")[2]
        second = await visit(app, token)
        assert (json.loads(second.body)["user"], second.values("set-cookie")) == ("ann", [])
        flashes = await visit(SessionMiddleware(takes, client=client), token)
        assert json.loads(flashes.body) == ["welcome"]

    on(loop, run)


def test_parallel_first_requests_end_in_one_session(loop: str, client: SessionClient, old: OldShop) -> None:
    """A page and its pictures, those that do not look at the session included; nothing that they write is lost."""
    value = old.cookie_of("ann")
    answers: list[Sent] = []

    async def one(app: Any) -> None:
        answers.append(await with_cookie(SessionMiddleware(app, client=client, adopt=[old.source()]), value))

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for app in (counts, ignores) * 6:
                group.start_soon(one, app)

    on(loop, run)
    assert (len(answers), len({cookies_of(each)[0] for each in answers})) == (12, 1)
    assert (client.stats().sessions, old.rows()) == (1, 0)
    token = cookies_of(answers[0])[0].partition("=")[2]
    assert client.open(token)["visits"] == 6


def test_who_has_signed_out_stays_out(loop: str, client: SessionClient, old: OldShop) -> None:
    """The old cookie opens nothing any more, and is taken away where somebody still brings it."""
    app = SessionMiddleware(shows, client=client, adopt=old.source())
    value = old.cookie_of("ann")

    async def run() -> None:
        left = await with_cookie(SessionMiddleware(logs_out, client=client, adopt=old.source()), value)
        assert cookies_of(left) == ["__Host-id=", "session="]
        late = await with_cookie(app, value)
        assert (json.loads(late.body)["user"], cookies_of(late)) == (None, ["__Host-id=", "session="])
        invented = await with_cookie(app, "invented-by-somebody-000000")
        assert json.loads(invented.body)["user"] is None
        assert client.stats().sessions == 0

    on(loop, run)


def test_the_same_name_of_cookie(client: SessionClient, old: OldShop) -> None:
    """The new cookie takes the place of the old one."""
    app = SessionMiddleware(shows, session_cookie="session", client=client, adopt=old.source())

    async def run() -> None:
        first = await with_cookie(app, old.cookie_of("ann"))
        assert len(cookies_of(first)) == 1
        again = await with_cookie(app, cookies_of(first)[0].partition("=")[2])
        assert (json.loads(again.body)["user"], cookies_of(again)) == ("ann", [])

    on("asyncio", run)


def test_a_request_that_fails_leaves_the_old_cookie(client: SessionClient, old: OldShop) -> None:
    """It says nothing about cookies, and the next one finds the session."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["cart"] = "lost"
        await answer(send, 500)

    value = old.cookie_of("ann")

    async def run() -> None:
        assert cookies_of(await with_cookie(SessionMiddleware(fails, client=client, adopt=old.source()), value)) == []
        later = await with_cookie(SessionMiddleware(shows, client=client, adopt=old.source()), value)
        assert (json.loads(later.body)["user"], json.loads(later.body)["cart"]) == ("ann", [1, {"coat": 2}])

    on("asyncio", run)


def test_a_slow_old_store_does_not_stop_the_loop(loop: str, client: SessionClient, source: MemorySource) -> None:
    """Neither when the session is opened, nor when it is looked at again."""
    read = source.read

    def slowly(legacy_id: str) -> LegacySession | None:
        time.sleep(0.5)
        return read(legacy_id)

    source.read = slowly  # type: ignore[method-assign]
    stalls: list[float] = []

    async def turn() -> None:
        while True:
            before = time.monotonic()
            await anyio.sleep(0.002)
            stalls.append(time.monotonic() - before)

    async def reloads(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].areload()
        await shows(scope, receive, send)

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(turn)
            await with_cookie(SessionMiddleware(reloads, client=client, adopt=source), "nobody-knows-this-id")
            found = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
            assert json.loads(found.body)["user"] == "ann"
            group.cancel_scope.cancel()

    on(loop, run)
    assert len(source.reads) == 3
    assert max(stalls) < LONGEST_STALL


def test_an_outage_of_the_old_store(loop: str, client: SessionClient, source: MemorySource) -> None:
    """503, and no cookie is touched; the session moves in when it is back."""
    app = SessionMiddleware(shows, client=client, adopt=source)

    async def run() -> None:
        source.away = True
        away = await with_cookie(app, ID)
        assert (away.status, cookies_of(away)) == (503, [])
        source.away = False
        assert json.loads((await with_cookie(app, ID)).body)["user"] == "ann"

    on(loop, run)


def test_our_store_cannot_be_opened(loop: str, home: Path, source: MemorySource, monkeypatch: Any) -> None:
    """The first request of a process: the same 503, though nobody can say yet whose cookie it is."""

    def fails(_: LmdbStore) -> Any:
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    async def run() -> None:
        with connect(home) as client, monkeypatch.context() as broken:
            broken.setattr(LmdbStore, "keyring", property(fails))
            away = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
            assert (away.status, cookies_of(away)) == (503, [])
            unused = await with_cookie(SessionMiddleware(ignores, client=client, adopt=source), ID)
            assert (unused.status, cookies_of(unused)) == (200, [])
        with connect(home) as client:
            found = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
            assert json.loads(found.body)["user"] == "ann"

    on(loop, run)


def test_a_lazy_session_moves_when_it_is_loaded(client: SessionClient, source: MemorySource) -> None:
    """Pages that need none ask nobody."""

    async def run() -> None:
        unused = await with_cookie(SessionMiddleware(ignores, client=client, adopt=source, lazy=True), ID)
        assert (cookies_of(unused), source.reads) == ([], [])
        used = await with_cookie(SessionMiddleware(shows, client=client, adopt=source, lazy=True), ID)
        assert (json.loads(used.body)["user"], len(cookies_of(used))) == ("ann", 2)

    on("asyncio", run)


def test_a_websocket_brings_the_cookies_with_its_handshake(client: SessionClient, source: MemorySource) -> None:
    """As the headers of the accept."""
    messages: list[Any] = []

    async def accepts(scope: Any, receive: Any, send: Any) -> None:
        assert scope["session"].principal == "ann"
        await send({"type": "websocket.accept"})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(message)

    async def run() -> None:
        scope = scope_of("websocket", headers=[(b"cookie", f"session={ID}".encode())])
        await SessionMiddleware(accepts, client=client, adopt=source)(scope, receive, send)

    on("asyncio", run)
    assert [key for key, _ in messages[0]["headers"]].count(b"set-cookie") == 2


def test_two_workers_move_it_once(home: Path, redis_port: int) -> None:
    """Twelve first requests at one moment, in two processes: one session, which has what all of them wrote."""
    old = in_redis(redis_port)
    value = old.cookie_of("ann")
    with serving(UVICORN, "tests.asgi.probe:moving_app", home, PROBE_OLD=str(redis_port)) as port:
        tokens = set(together(12, lambda number: token_from(port, f"/count?item={number}", f"session={value}")))
        assert len(tokens) == 1
    with connect(home) as client:
        session = client.open(tokens.pop())
        assert (session.principal, session["count"], len(session["seen"])) == ("ann", 12, 12)
        assert (client.stats().sessions, old.rows()) == (1, 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"adopt": MemorySource(), "token_header": "X-Session-Token"}, "token_header"),
        ({"adopt": "coatcheck.adopt.DjangoDatabase"}, "adopt has a str"),
        ({"adopt": [MemorySource(), MemorySource()]}, "two sources are named"),
    ],
)
def test_what_cannot_be_is_said(home: Path, options: Any, text: str) -> None:
    """When the middleware is made."""
    with pytest.raises(ConfigurationError, match=text):
        SessionMiddleware(ignores, home=home, **options)
    assert SessionMiddleware(ignores, home=home, adopt=[]).options.adopter is None


DJANGO = """
import pathlib, sys
from tests.adopt import django_job
directory = pathlib.Path(sys.argv[1])
django_job.configure(directory)
from django.contrib.sessions.backends import db
from coatcheck.adopt import DjangoDatabase
from coatcheck.asgi import SessionMiddleware
from tests.asgi.driving import on, visit
from tests.asgi.test_adopt import shows

old = db.SessionStore()
old.update({"_auth_user_id": "42", "cart": [1]})
old.save()
app = SessionMiddleware(shows, home=directory / "state", adopt=DjangoDatabase())
header = [(b"cookie", f"sessionid={old.session_key}".encode())]
sent = on("asyncio", lambda: visit(app, headers=header))
print(sent.body.decode(), old.exists(old.session_key), len(sent.values("set-cookie")))
app.client.close()
"""


def test_sessions_of_djangos_database_move_in(tmp_path: Path) -> None:
    """Written by Django, read by it in a thread."""
    job = [sys.executable, "-c", DJANGO, str(tmp_path)]
    done = subprocess.run(job, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == '{"user": "42", "cart": [1], "visits": null} False 2\n', done.stderr
