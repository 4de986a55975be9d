"""Sessions that were kept elsewhere move in with the first request of their users."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck import ConfigurationError, connect
from coatcheck.client import SessionClient
from coatcheck.testing import together
from coatcheck.wsgi import SessionMiddleware
from tests.adopt.memory import MemorySource
from tests.system.running import RunningSystem
from tests.web.old import OldShop, in_redis, token_from
from tests.web.serving import GUNICORN, serving
from tests.wsgi.test_middleware import TEXT, Sent, Start, session_of, visit

ID = "an-old-id-of-ann-0001"
GONE = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/"


@pytest.fixture
def client(home: Path) -> Iterator[SessionClient]:
    """The store behind the middleware."""
    with connect(home) as client:
        yield client


def shows(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Who is signed in, and the data."""
    session = session_of(environ)
    start_response("200 OK", list(TEXT))
    return [json.dumps({"user": session.principal, "cart": session.get("cart")}).encode()]


def counts(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Counts itself."""
    session_of(environ).increment("visits")
    start_response("200 OK", list(TEXT))
    return [b"counted"]


def ignores(_: Any, start_response: Start) -> Iterable[bytes]:
    """Does not use it."""
    start_response("200 OK", list(TEXT))
    return [b"ignored"]


def takes(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Shows the flashes."""
    start_response("200 OK", list(TEXT))
    return [json.dumps([each.message for each in session_of(environ).take_flashes()]).encode()]


def logs_out(environ: Any, start_response: Start) -> Iterable[bytes]:
    """Ends it."""
    session_of(environ).logout()
    start_response("200 OK", list(TEXT))
    return [b"bye"]


def with_cookie(app: Any, value: str, **environ: Any) -> Sent:
    """A request with the old cookie."""
    return visit(app, HTTP_COOKIE=f"a=b; session={value}", **environ)


def cookies_of(sent: Sent) -> list[str]:
    """``name=value`` of each cookie that is set."""
    return [each.partition(";")[0] for each in sent.values("set-cookie")]


def test_nobody_is_signed_out(client: SessionClient, old: OldShop) -> None:
    """User, data and flashes are there; the new cookie comes and the old one goes; the old row is gone."""
    first = with_cookie(SessionMiddleware(shows, client=client, adopt=old.source()), old.cookie_of("ann"))
    assert json.loads(first.body) == {"user": "ann", "cart": [1, {"coat": 2}]}
    ours, gone = first.values("set-cookie")
    assert (ours[:10], gone, first.values("vary")) == ("__Host-id=", GONE, ["Cookie"])
    assert (old.rows(), client.stats().sessions, client.counters["adopted"]) == (0, 1, 1)
    token = cookies_of(first)[0].partition("=")[2]
    second = visit(SessionMiddleware(shows, client=client, adopt=old.source()), token)
    assert (json.loads(second.body)["user"], second.values("set-cookie")) == ("ann", [])
    assert json.loads(visit(SessionMiddleware(takes, client=client), token).body) == ["welcome"]


def test_parallel_first_requests_end_in_one_session(client: SessionClient, old: OldShop) -> None:
    """A page and its pictures, those that do not look at the session included; nothing that they write is lost."""
    value = old.cookie_of("ann")

    def one(number: int) -> Sent:
        app = SessionMiddleware((counts, ignores)[number % 2], client=client, adopt=[old.source()])
        return with_cookie(app, value)

    answers = together(8, one)
    assert len({cookies_of(each)[0] for each in answers}) == 1
    assert (client.stats().sessions, old.rows()) == (1, 0)
    assert client.open(cookies_of(answers[0])[0].partition("=")[2])["visits"] == 4


def test_who_has_signed_out_stays_out(client: SessionClient, old: OldShop) -> None:
    """The old cookie opens nothing any more, and is taken away where somebody still brings it."""
    value = old.cookie_of("ann")
    left = with_cookie(SessionMiddleware(logs_out, client=client, adopt=old.source()), value)
    assert cookies_of(left) == ["__Host-id=", "session="]
    late = with_cookie(SessionMiddleware(shows, client=client, adopt=old.source()), value)
    assert (json.loads(late.body)["user"], cookies_of(late)) == (None, ["__Host-id=", "session="])
    assert client.stats().sessions == 0


def test_the_same_name_of_cookie(client: SessionClient, old: OldShop) -> None:
    """The new cookie takes the place of the old one."""
    options: Any = {"session_cookie": "session", "client": client, "adopt": old.source()}
    first = with_cookie(SessionMiddleware(shows, **options), old.cookie_of("ann"))
    assert len(cookies_of(first)) == 1
    again = with_cookie(SessionMiddleware(shows, **options), cookies_of(first)[0].partition("=")[2])
    assert (json.loads(again.body)["user"], cookies_of(again)) == ("ann", [])


def test_an_outage_of_the_old_store(client: SessionClient) -> None:
    """503, and no cookie is touched; the session moves in when it is back."""
    source = MemorySource({ID: {"user": "ann"}})
    source.away = True
    away = with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
    assert (away.status[:3], cookies_of(away)) == ("503", [])
    source.away = False
    assert json.loads(with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID).body)["user"] == "ann"


def test_on_the_actor_lane_it_moves_when_it_is_used(home: Path) -> None:
    """A page that does not use it asks nobody."""
    source = MemorySource({ID: {"user": "ann-by-actor"}})
    with RunningSystem(home), connect(home, lane="actor") as client:
        unused = with_cookie(SessionMiddleware(ignores, client=client, adopt=source), ID)
        assert (cookies_of(unused), source.reads) == ([], [])
        used = with_cookie(SessionMiddleware(shows, client=client, adopt=source), ID)
        assert (json.loads(used.body)["user"], len(cookies_of(used)), source.rows) == ("ann-by-actor", 2, {})


def test_two_workers_move_it_once(home: Path, redis_port: int) -> None:
    """Twelve first requests at one moment, in two processes: one session, which has what all of them wrote."""
    old = in_redis(redis_port)
    value = old.cookie_of("ann")
    with serving(GUNICORN, "tests.wsgi.probe:moving_app", home, PROBE_OLD=str(redis_port)) as port:
        tokens = set(together(12, lambda number: token_from(port, f"/count?item={number}", f"session={value}")))
        assert len(tokens) == 1
    with connect(home) as client:
        session = client.open(tokens.pop())
        assert (session.principal, session["count"], len(session["seen"])) == ("ann", 12, 12)
        assert (client.stats().sessions, old.rows()) == (1, 0)


def test_a_header_has_no_cookies_to_adopt(home: Path) -> None:
    """The two do not go together."""
    with pytest.raises(ConfigurationError, match="token_header"):
        SessionMiddleware(shows, home=home, token_header="X-Session-Token", adopt=MemorySource())
