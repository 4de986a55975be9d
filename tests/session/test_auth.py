"""How long ago somebody proved who they are, and the other sessions of a user."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import ReauthenticationRequired, StoreUnavailable
from coatcheck.client import SessionClient
from coatcheck.clock import SECOND
from coatcheck.testing import FakeClock
from tests.session.spy import Spy


def signed_in(client: SessionClient, name: str, label: str | None = None) -> str:
    """The token of a new session of somebody."""
    session = client.open()
    session.login(name, label=label)
    token = session.commit()
    assert token is not None
    return token


def test_a_login_is_recent_for_as_long_as_asked(client: SessionClient, clock: FakeClock) -> None:
    """To the second, from the login on, committed or not; however much the session is used meanwhile (ASVS 7.5.1)."""
    session = client.open()
    session.login("ann")
    assert session.has_recent_auth(0)
    token = session.commit()
    began = clock.now()
    clock.advance(300)
    session = client.open(token)
    assert session.auth_time == began
    session.require_recent_auth(300)
    session["used"] = 1
    session.commit()
    clock.advance(1)
    session = client.open(token)

    assert not session.has_recent_auth(300)
    with pytest.raises(ReauthenticationRequired, match="301 s ago") as caught:
        session.require_recent_auth(300)
    assert (caught.value.max_age, caught.value.age, caught.value.signed_in) == (300, 301.0, True)


def test_signing_in_again_makes_it_recent(client: SessionClient, clock: FakeClock) -> None:
    """The same principal, under a new token (ASVS 7.2.4); the data stays."""
    token = signed_in(client, "ann")
    clock.advance(1000)
    session = client.open(token)
    session["cart"] = [1]
    session.login("ann")
    new = session.commit()
    session = client.open(new)

    assert new != token
    assert session.auth_time == clock.now()
    assert dict(session) == {"cart": [1]}


def test_a_session_without_a_login_is_never_recent(client: SessionClient, token: str) -> None:
    """Neither that of a guest, nor one that was bound without anybody proving anything."""
    guest = client.open(token)
    with pytest.raises(ReauthenticationRequired, match="nobody is signed in") as caught:
        guest.require_recent_auth(10**9)
    assert (caught.value.signed_in, caught.value.age) == (False, None)

    bound, _ = client.create({}, principal="ann")
    with pytest.raises(ReauthenticationRequired, match="not in this session"):
        client.open(bound).require_recent_auth(10**9)

    session = client.open(signed_in(client, "ann"))
    session.login("ann", remembered=True)
    assert session.auth_time is None
    assert not client.open(session.commit()).has_recent_auth(10**9)


def test_recent_auth_does_not_pass_to_another_user(client: SessionClient, clock: FakeClock) -> None:
    """Who takes over a session has to prove who they are."""
    session = client.open(signed_in(client, "ann"))
    session.login("bob", remembered=True)
    assert not client.open(session.commit()).has_recent_auth(60)


def test_a_planted_time_does_not_count(client: SessionClient) -> None:
    """What the application notes about a device cannot stand for a login."""
    session = client.open()
    session.login("ann", meta={"auth_time": 2**60}, remembered=True)
    assert session.auth_time is None


def test_the_other_sessions(client: SessionClient, clock: FakeClock) -> None:
    """Those of the user but this one, with what was noted about the devices; nobody else's (ASVS 7.5.2)."""
    phone = signed_in(client, "ann", "phone")
    clock.advance(1)
    laptop = signed_in(client, "ann", "laptop")
    bobs = signed_in(client, "bob")
    session = client.open(laptop)

    (other,) = session.other_sessions()
    assert (other.meta["label"], other.sid) == ("phone", client.open(phone).sid)
    assert other.meta["auth_time"] == clock.now() - SECOND
    assert client.open().other_sessions() == []

    bob = client.open(bobs).sid
    assert bob is not None
    assert session.sid is not None
    for wrong in (bob, bob[:8], session.sid, "", other.sid[:4], "x" * 8):
        assert not session.revoke_other(wrong)
    assert session.revoke_other(other.handle)
    assert not session.revoke_other(other.sid)
    assert client.find(phone).reason == "revoked"
    assert client.load(laptop) is not None
    assert client.load(bobs) is not None


def test_ending_the_others_leaves_this_one(client: SessionClient) -> None:
    """Also in the request that signs in again, before its commit (ASVS 7.4.3)."""
    others = [signed_in(client, "ann") for _ in range(2)]
    mine = signed_in(client, "ann")
    session = client.open(mine)
    assert session.revoke_others() == 2
    session.login("ann")
    assert session.revoke_others() == 0
    new = session.commit()

    assert [client.find(token).reason for token in (*others, mine)] == ["revoked", "revoked", "retired"]
    assert client.load(new or "") is not None
    assert client.open().revoke_others() == 0


def test_the_twins(client: SessionClient) -> None:
    """The same for asyncio."""
    phone, tablet, laptop = (signed_in(client, "ann", label) for label in ("phone", "tablet", "laptop"))

    async def look() -> None:
        session = await client.aopen(laptop)
        first, second = await session.aother_sessions()
        assert await session.arevoke_other(first.sid)
        assert await session.arevoke_others() == 1
        assert {first.meta["label"], second.meta["label"]} == {"phone", "tablet"}

    asyncio.run(look())
    client.runner.close()
    assert client.load(phone) is client.load(tablet) is None
    assert client.load(laptop) is not None


def test_an_outage_is_no_empty_list(client: SessionClient, spy: Spy) -> None:
    """Nobody is told that the others are signed out when they are not."""
    session = client.open(signed_in(client, "ann"))
    assert session.principal == "ann"
    spy.away = True

    with pytest.raises(StoreUnavailable):
        session.other_sessions()
    with pytest.raises(StoreUnavailable):
        session.revoke_others()
