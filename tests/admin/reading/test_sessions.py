"""Pages of sessions: every one once, filters, and a time after which a page says where it stopped."""

from __future__ import annotations

import itertools

import pytest

from coatcheck.admin.reading.sessions import Filters, every, page
from coatcheck.client import SessionClient
from coatcheck.clock import SECOND
from coatcheck.lifetimes import Lifetimes
from coatcheck.testing import FakeClock


def test_every_session_is_on_one_page(client: SessionClient) -> None:
    """Page by page, in order, none twice, while sessions come and go."""
    made = {client.create({})[1].sid for _ in range(25)}
    seen: list[str] = []
    cursor = None
    while True:
        part = page(client, cursor=cursor, limit=10)
        seen += [info.sid for info in part.sessions]
        cursor = part.next_cursor
        if cursor is None:
            break
        client.revoke_sid(part.sessions[0].sid)  # what is behind the cursor, and the cursor itself, may go
        client.revoke_sid(cursor)

    assert seen == sorted(made)


def test_a_full_page_at_the_end_is_the_last(client: SessionClient) -> None:
    """No page is promised that would be empty."""
    for _ in range(10):
        client.create({})

    part = page(client, limit=10)

    assert (len(part.sessions), part.next_cursor, part.scanned, part.stopped_at) == (10, None, 10, None)
    assert page(client, limit=9).next_cursor is not None


def test_filters(client: SessionClient, clock: FakeClock) -> None:
    """Each filter finds what it says, and together they all have to fit."""
    long = Lifetimes(idle=86400)
    old = client.create({"a": "x" * 500}, principal="ann", lifetimes=long, meta={"ip": "10.1.2.3"})[1].sid
    clock.advance(3600)
    token, record = client.create({}, principal="bob", lifetimes=long, meta={"user_agent": "Firefox", "ip": "::1"})
    guest = client.create({}, lifetimes=Lifetimes(idle=300))[1].sid
    middle = clock.now()
    clock.advance(60)

    def found(**filters: object) -> set[str]:
        return {info.sid for info in page(client, filters=Filters(**filters)).sessions}  # type: ignore[arg-type]

    assert found() == {old, record.sid, guest}
    assert found(user="ann") == {old}
    assert found(user="nobody") == set()
    assert found(state="anonymous") == {guest}
    assert found(state="signed-in") == {old, record.sid}
    assert found(idle_for=1800) == {old}
    assert found(used_within=60) == {record.sid, guest}
    assert found(created_before=middle) == {old}
    assert found(created_after=middle) == {record.sid, guest}
    assert found(ends_within=300) == {guest}
    assert found(size_over=500) == {old}
    assert found(device="fireFOX") == {record.sid}
    assert found(meta={"ip": "10.0.0.0/8"}) == {old}
    assert found(meta={"ip": "::/64"}) == {record.sid}
    assert found(meta={"user_agent": "fox", "ip": ":"}) == {record.sid}
    assert found(user="bob", state="anonymous") == set()
    client.delete(token)
    assert {info.sid for info in every(client, Filters(state="signed-in"))} == {old}


def test_a_user_has_pages_too(client: SessionClient) -> None:
    """Their sessions are found by the index, and paged like all others."""
    mine = sorted(client.create({}, principal="ann")[1].sid for _ in range(5))
    for _ in range(50):
        client.create({})
    first = page(client, limit=3, filters=Filters(user="ann"))
    rest = page(client, limit=3, filters=Filters(user="ann"), cursor=first.next_cursor)

    assert [info.sid for info in first.sessions + rest.sessions] == mine
    assert first.scanned + rest.scanned == 5


def test_a_search_ends_in_time(client: SessionClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter without an index that finds nothing stops when its time is over, says where, and goes on from there."""
    sids = sorted(client.create({})[1].sid for _ in range(300))
    wanted = Filters(device="nobody has this")
    ticks = itertools.count()
    monkeypatch.setattr("coatcheck.admin.reading.sessions.time.monotonic", lambda: float(next(ticks)))

    part = page(client, filters=wanted, budget=0.5)
    assert part.sessions == ()
    assert 0 < part.scanned < 300
    assert part.stopped_at == part.next_cursor == sids[part.scanned - 1]

    scanned, parts = part.scanned, 1
    while part.next_cursor is not None:
        part = page(client, filters=wanted, cursor=part.next_cursor, budget=0.5)
        scanned += part.scanned
        parts += 1
    assert (scanned, part.stopped_at) == (300, None)
    assert parts > 2


def test_what_cannot_be_asked_for_is_named(client: SessionClient) -> None:
    """A cursor that is none, a page of nothing, a network that is none."""
    with pytest.raises(ValueError, match="is no cursor"):
        page(client, cursor="12")
    with pytest.raises(ValueError, match="1 or more"):
        page(client, limit=0)
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        Filters(meta={"ip": "10.0.0.0/99"})


def test_the_unit_of_a_filter_is_the_second(client: SessionClient, clock: FakeClock) -> None:
    """Idle for exactly so long fits; a microsecond less does not."""
    client.create({})
    clock.advance(10)

    assert len(page(client, filters=Filters(idle_for=10)).sessions) == 1
    assert page(client, filters=Filters(idle_for=10 + 1 / SECOND)).sessions == ()
