"""Taking over sessions: once, for nobody else, never after they have ended, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timezone

import pytest

from coatcheck import ConfigurationError, Lifetimes, Session, SessionTooLarge, StoreUnavailable
from coatcheck.adopt import Adopter, LegacySession
from coatcheck.client import SessionClient
from coatcheck.clock import SECOND
from coatcheck.keyring import Keyring
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.adopt.memory import MemorySource

ID = "an-old-id-of-ann-0001"
HEADER = f"session={ID}"


@pytest.fixture
def client(store: LmdbStore, clock: FakeClock) -> SessionClient:
    """A client of the store itself."""
    return SessionClient(store.settings, store=store, clock=clock)


@pytest.fixture
def source() -> MemorySource:
    """An old store with a session of Ann's."""
    return MemorySource({ID: {"user": "ann", "cart": [1, 2]}})


def opened(client: SessionClient, source: MemorySource, header: str = HEADER) -> Session:
    """The session of a request with that header."""
    origin = Adopter([source]).origin_of(client, header, "__Host-id")
    assert origin is not None
    return client.open_from(origin, peer="203.0.113.9")


def test_the_first_request_moves_the_session(client: SessionClient, source: MemorySource, store: LmdbStore) -> None:
    """With its data, bound to its user, under a token; the old row is gone and a counter counts."""
    session = opened(client, source)

    assert (session.principal, session["cart"], session.new) == ("ann", [1, 2], False)
    token = session.commit()
    assert (session.cookie, session.token) == ("set", token)
    assert session.meta["adopted_from"] == "memory"
    assert [info.sid for info in client.sessions_of("ann")] == [session.sid]
    assert source.rows == {}
    assert client.counters["adopted"] == 1
    assert token is not None
    assert dict(client.open(token)) == {"user": "ann", "cart": [1, 2]}
    assert ID not in repr(session.origin)
    assert store.check().clean


def test_our_own_store_cannot_be_opened(
    client: SessionClient, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said where the session is used, not where its cookie is looked for; afterwards it can be moved."""

    def fails(_: LmdbStore) -> Keyring:
        msg = "somebody is alone on it"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as broken:
        broken.setattr(LmdbStore, "keyring", property(fails))
        session = opened(client, source)
        with pytest.raises(StoreUnavailable, match="alone"):
            session.get("cart")
        assert (session.cookie, source.reads) == ("leave", [])
    session = opened(client, source)
    assert session.principal == "ann"


def test_nobody_has_proved_anything(client: SessionClient, source: MemorySource) -> None:
    """When Ann signed in is not known, so sensitive pages ask her again."""
    assert opened(client, source).auth_time is None


def test_parallel_first_requests_end_in_one_session(client: SessionClient, source: MemorySource) -> None:
    """Whoever is second finds what the first created, whether the old row is still there or not."""
    barrier = threading.Barrier(8)
    tokens: list[str | None] = []

    def visit() -> None:
        barrier.wait()
        session = opened(client, source)
        session.increment("visits")
        tokens.append(session.commit())

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tokens) == 8
    assert len(set(tokens)) == 1
    assert client.stats().sessions == 1
    assert dict(client.open(tokens[0])) == {"user": "ann", "cart": [1, 2], "visits": 8}
    assert client.counters["adopted"] == 1


def test_the_second_finds_the_first_between_reading_and_creating(client: SessionClient, source: MemorySource) -> None:
    """The narrowest moment."""
    first: list[str | None] = []
    source.after_read = lambda: first.append(opened(client, source).commit())

    assert [opened(client, source).commit()] == first
    assert client.stats().sessions == 1


def test_the_second_finds_what_the_first_has_moved_already(client: SessionClient, source: MemorySource) -> None:
    """It has looked for it here before, and there afterwards: gone there means here."""
    first: list[str | None] = []
    read = source.read

    def late(legacy_id: str) -> LegacySession | None:
        source.read = read  # type: ignore[method-assign]
        first.append(opened(client, source).commit())
        return read(legacy_id)

    source.read = late  # type: ignore[method-assign]

    assert [opened(client, source).commit()] == first
    assert client.stats().sessions == 1


def test_an_answer_that_was_lost_is_given_again(client: SessionClient, source: MemorySource) -> None:
    """The browser still has the old cookie, and the old row is gone."""
    token = opened(client, source).commit()
    reads = len(source.reads)
    again = opened(client, source)

    assert (again.token, again["cart"], again.cookie) == (token, [1, 2], "set")
    assert len(source.reads) == reads


def test_after_a_logout_the_old_cookie_is_worth_nothing(client: SessionClient, source: MemorySource) -> None:
    """Even where the old row is still there."""
    source.fails_to_remove = True
    session = opened(client, source)
    assert source.rows
    assert client.counters["adopt_left"] == 1
    session.logout()
    session.commit()
    source.fails_to_remove = False
    again = opened(client, source)

    assert (again.principal, dict(again), again.reason) == (None, {}, "deleted")
    assert again.commit() is None
    assert again.cookie == "remove"
    assert source.rows == {}  # removed now, before the token is forgotten
    assert client.counters["adopted"] == 1


def test_after_a_login_the_old_cookie_is_worth_nothing(client: SessionClient) -> None:
    """A planted old cookie is as bad as a planted token."""
    source = MemorySource({ID: {"cart": [1]}})
    session = opened(client, source)
    session.login("ann")
    token = session.commit()
    late = opened(client, source)

    assert (late.reason, dict(late), late.principal) == ("retired", {}, None)
    late["x"] = 1
    assert late.commit() is None
    assert late.cookie == "leave"  # the response of the login brings the cookie
    assert client.load(token or "") is not None


def test_a_logout_in_the_old_store_is_not_undone(client: SessionClient, source: MemorySource) -> None:
    """The row disappears between its reading and its removal: somebody else has ended the session."""
    source.after_read = source.rows.clear
    session = opened(client, source)

    assert (session.principal, dict(session)) == (None, {})
    assert client.stats().sessions == 0
    assert client.counters["adopt_ended"] == 1


def test_an_expired_session_is_not_adopted(client: SessionClient, source: MemorySource, clock: FakeClock) -> None:
    """To the second."""
    source.expires_at = clock.now() / SECOND
    assert dict(opened(client, source)) == {}
    source.expires_at += 1
    assert opened(client, source)["cart"] == [1, 2]


@pytest.mark.parametrize("sliding", [True, False])
def test_the_old_end_holds_where_use_did_not_move_it(client: SessionClient, clock: FakeClock, sliding: bool) -> None:
    """An adopted session ends no later than it would have, unless it would have been prolonged by this very request."""
    source = MemorySource({ID: {"user": "ann"}})
    source.sliding = sliding
    source.expires_at = clock.now() / SECOND + 600
    session = opened(client, source)
    usual = client.settings.signed_in

    assert session.lifetimes is not None
    assert session.lifetimes.absolute == (usual.absolute if sliding else 600)
    assert session.lifetimes.idle == usual.idle


def test_an_outage_of_the_old_store_logs_nobody_out(client: SessionClient, source: MemorySource) -> None:
    """It is an outage like any other: raised when the session is used, without the secrets of its address."""
    source.away = True
    session = opened(client, source)
    with pytest.raises(StoreUnavailable, match="memory cannot be asked for: ConnectionError") as caught:
        session.get("cart")
    assert "secret" not in str(caught.value)
    assert (session.commit(), session.cookie) == (None, "leave")

    source.away = False
    session.reload()
    assert session["cart"] == [1, 2]


def test_what_cannot_be_stored_is_left_out(
    client: SessionClient, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """By name, and counted: better than to log somebody out for it."""
    source.rows[ID] |= {"thing": object(), "nested": {"zone": [timezone.utc]}}
    session = opened(client, source)

    assert dict(session) == {"user": "ann", "cart": [1, 2]}
    assert client.counters["adopt_left_out"] == 2
    assert "nested" in caplog.text
    assert "object" in caplog.text


def test_convert_makes_of_it_what_can_be_stored(client: SessionClient) -> None:
    """What the application knows about its own values."""
    source = MemorySource({ID: {"thing": object()}}, convert=lambda data: {"thing": type(data["thing"]).__name__})

    assert dict(opened(client, source)) == {"thing": "object"}


def test_what_is_too_large_stays_where_it_is(home: object, source: MemorySource, clock: FakeClock) -> None:
    """The error says the remedy; the old row and the cookie wait for it."""
    with SessionClient(Settings.load(str(home), {}, max_session_bytes=1000), clock=clock) as client:
        source.rows[ID]["book"] = "x" * 2000
        session = opened(client, source)

        with pytest.raises(SessionTooLarge, match="max_session_bytes"):
            len(session)
        assert (session.commit(), session.cookie) == (None, "leave")
        assert ID in source.rows
        del source.rows[ID]["book"]
        assert opened(client, source)["cart"] == [1, 2]


@pytest.mark.parametrize("how", ["principal", "source"])
def test_what_cannot_be_stored_at_all_locks_nobody_out(
    client: SessionClient, source: MemorySource, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Its cookie comes with each request: an error would be the answer to all of them, until the cookie is gone."""
    source.rows[ID]["user"] = "u" * 600
    if how == "source":
        source.session_of = lambda *_: LegacySession(data={}, principal="u" * 600)  # type: ignore[method-assign]
    session = opened(client, source)

    assert (dict(session), session.principal, session.new) == ({}, None, True)
    session["a"] = 1
    assert session.commit() is not None
    assert client.counters["adopt_unreadable"] == 1
    assert "uuu" not in caplog.text


def test_a_request_with_a_token_of_ours_has_moved_in(client: SessionClient, source: MemorySource) -> None:
    """The old store is not asked, whichever cookie has the token."""
    token, _ = client.create({"a": 1})
    adopter = Adopter([source])

    assert adopter.origin_of(client, f"__Host-id={token}; session={ID}", "__Host-id") is None
    assert adopter.origin_of(client, f"session={token}", "session") is None
    assert adopter.origin_of(client, None) is adopter.origin_of(client, "") is None
    assert adopter.origin_of(client, "other=1; session=", "id") is None
    assert source.reads == []


@pytest.mark.parametrize("value", ["short", "with space in it 12345", "../../../../etc/passwd", "x" * 201, "ä" * 20])
def test_what_cannot_be_an_id_is_not_looked_up(client: SessionClient, source: MemorySource, value: str) -> None:
    """Nobody asks the old store for files, patterns or a megabyte."""
    assert Adopter([source]).origin_of(client, f"session={value}", "id") is None


def test_an_invented_id_leads_to_nothing(client: SessionClient, source: MemorySource) -> None:
    """It is no session, and does not become one; the application may begin another."""
    session = opened(client, source, "session=an-invented-id-00001")
    assert (dict(session), session.reason) == ({}, "unknown")
    session["a"] = 1
    token = session.commit()
    again = opened(client, source, "session=an-invented-id-00001")

    assert session.cookie == "set"
    assert dict(again) == {}
    assert token is not None
    assert ID in source.rows


def test_tokens_of_two_sources_differ(client: SessionClient) -> None:
    """The same id in two stores is two sessions; two sources of one name are refused."""
    ours = [MemorySource({ID: {"of": name}}, name=name) for name in ("one", "two")]
    tokens = {opened(client, each).commit() for each in ours}
    assert len(tokens) == 2

    with pytest.raises(ConfigurationError, match="two sources are named 'one'"):
        Adopter([ours[0], ours[0]])


def test_several_old_cookies(client: SessionClient, source: MemorySource) -> None:
    """The one with a session counts; all old names are removed, but that which the new cookie replaces."""
    other = MemorySource(name="other", cookie_name="sessionid", cookie_path="/app")
    origin = Adopter([other, source]).origin_of(client, f"sessionid={ID}; {HEADER}", "__Host-id")
    assert origin is not None
    session = client.open_from(origin)

    assert session["cart"] == [1, 2]
    removed = {header.partition("=")[0]: header for header in origin.removals("__Host-id", None, "/")}
    assert sorted(removed) == ["session", "sessionid"]
    assert "Path=/app" in removed["sessionid"]
    assert [header.partition("=")[0] for header in origin.removals("session", None, "/")] == ["sessionid"]


def test_a_new_secret_finds_what_was_adopted_under_the_old_one(
    home: object, source: MemorySource, clock: FakeClock
) -> None:
    """In the middle of a move the secrets may be replaced."""
    old, new = "o" * 32, "n" * 32
    with SessionClient(Settings.load(str(home), {}, secrets=[old]), clock=clock) as client:
        token = opened(client, source).commit()
    with SessionClient(Settings.load(str(home), {}, secrets=[new, old]), clock=clock) as client:
        assert opened(client, source).token == token


def test_for_asyncio_the_old_store_is_asked_in_a_thread(client: SessionClient, source: MemorySource) -> None:
    """It may be slow, and the loop has others to serve."""
    seen: list[int] = []
    source.after_read = lambda: seen.append(threading.get_ident())

    async def visit() -> Session:
        await client.aload("x")
        origin = Adopter([source]).origin_of(client, HEADER)
        assert origin is not None
        return await client.aopen_from(origin)

    assert asyncio.run(visit())["cart"] == [1, 2]
    assert seen
    assert seen != [threading.get_ident()]
    client.runner.close()


def test_the_log_tells_how_far_it_is(
    client: SessionClient, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one, and each thousandth; no id, no data."""
    caplog.set_level(logging.INFO, "coatcheck.adopt")
    opened(client, source)
    opened(client, MemorySource({"another-old-id-0002": {"b": 1}}, name="b"), "session=another-old-id-0002")

    assert [record.getMessage() for record in caplog.records] == [
        "1 sessions adopted by this process, the last one from memory"
    ]


def test_lifetimes_of_the_settings(store: LmdbStore, clock: FakeClock, source: MemorySource) -> None:
    """Those of a session with a user, where there is one."""
    settings = Settings(home=store.settings.home, signed_in=Lifetimes(idle=100, absolute=1000))
    client = SessionClient(settings, clock=clock)
    assert opened(client, source).lifetimes == Lifetimes(idle=100, absolute=1000)
    client.close()
