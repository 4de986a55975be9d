"""Sessions that were kept elsewhere move in through the actor system as well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from coatcheck import connect
from coatcheck.asgi import SessionMiddleware
from coatcheck.client import SessionClient
from tests.adopt.memory import MemorySource
from tests.asgi.driving import LOOPS, Sent, on, visit
from tests.asgi.test_adopt import GONE, cookies_of, counts, ignores, logs_out, shows, with_cookie
from tests.system.running import RunningSystem

ID = "an-old-id-of-ann-0001"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """The actor system of all of them."""
    with RunningSystem(tmp_path_factory.mktemp("system") / "state") as system:
        yield system


@pytest.fixture
def client(system: RunningSystem) -> Iterator[SessionClient]:
    """A client on the actor lane, on a store without sessions."""
    with connect(system.home, lane="actor") as client:
        for info in client.scan():
            client.revoke_sid(info.sid)
        yield client


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    name: str = request.param
    return name


@pytest.fixture
def source(request: pytest.FixtureRequest) -> MemorySource:
    """An old store with a session of Ann's, of an id that no other test has used: tokens are made of it."""
    name = re.sub(r"\W", "-", request.node.name)
    return MemorySource({f"{ID}-{name}": {"user": "ann", "cart": [1, 2]}})


def id_in(source: MemorySource) -> str:
    """The old id."""
    return next(iter(source.rows))


def test_nobody_is_signed_out(loop: str, client: SessionClient, source: MemorySource) -> None:
    """A page that does not use the session moves it too; the new cookie comes, the old one and its row go."""
    value = id_in(source)

    async def run() -> None:
        first = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), value)
        assert json.loads(first.body) == {"user": "ann", "cart": [1, 2], "visits": None}
        ours, gone = first.values("set-cookie")
        assert (ours[:10], gone, first.values("vary")) == ("__Host-id=", GONE, ["Cookie"])
        assert (source.rows, client.stats().sessions) == ({}, 1)
        token = cookies_of(first)[0].partition("=")[2]
        second = await visit(SessionMiddleware(shows, client=client, adopt=source), token)
        assert (json.loads(second.body)["user"], second.values("set-cookie")) == ("ann", [])

    on(loop, run)


def test_parallel_first_requests_end_in_one_session(loop: str, client: SessionClient, source: MemorySource) -> None:
    """Nothing that they write is lost."""
    value = id_in(source)
    answers: list[Sent] = []

    async def one(app: object) -> None:
        answers.append(await with_cookie(SessionMiddleware(app, client=client, adopt=[source]), value))  # type: ignore[arg-type]

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for app in (counts, ignores) * 4:
                group.start_soon(one, app)

    on(loop, run)
    assert (len(answers), len({cookies_of(each)[0] for each in answers})) == (8, 1)
    assert (client.stats().sessions, source.rows) == (1, {})
    assert client.open(cookies_of(answers[0])[0].partition("=")[2])["visits"] == 4


def test_a_lazy_session_moves_when_it_is_loaded(loop: str, client: SessionClient, source: MemorySource) -> None:
    """Pages that need none ask neither the old store nor the actors."""
    value = id_in(source)

    async def run() -> None:
        unused = await with_cookie(SessionMiddleware(ignores, client=client, adopt=source, lazy=True), value)
        assert (cookies_of(unused), source.reads) == ([], [])
        used = await with_cookie(SessionMiddleware(shows, client=client, adopt=source, lazy=True), value)
        assert (json.loads(used.body)["user"], len(cookies_of(used)), source.rows) == ("ann", 2, {})

    on(loop, run)


def test_who_has_signed_out_stays_out(loop: str, client: SessionClient, source: MemorySource) -> None:
    """The old cookie opens nothing any more."""
    value = id_in(source)

    async def run() -> None:
        left = await with_cookie(SessionMiddleware(logs_out, client=client, adopt=source), value)
        assert cookies_of(left) == ["__Host-id=", "session="]
        late = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), value)
        assert (json.loads(late.body)["user"], cookies_of(late)) == (None, ["__Host-id=", "session="])
        assert client.stats().sessions == 0

    on(loop, run)


def test_an_outage_of_either_store_touches_nothing(loop: str, tmp_path: Path) -> None:
    """503 while the old store is away, and while there are no actors; then the session moves in."""
    home, source = tmp_path / "state", MemorySource({ID: {"user": "ann"}})

    async def refused(client: SessionClient) -> None:
        away = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
        assert (away.status, cookies_of(away), list(source.rows)) == (503, [], [ID])

    async def run() -> None:
        async with connect(home, lane="actor", ask_timeout=1) as client:
            await refused(client)
            with RunningSystem(home):
                source.away = True
                await refused(client)
                source.away = False
                found = await with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
                assert (json.loads(found.body)["user"], source.rows) == ("ann", {})

    on(loop, run)
