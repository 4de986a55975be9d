"""The story of a session: what happened to it, and why it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.admin.reading.story import ended_sids, tell
from coatcheck.client import SessionClient, connect
from coatcheck.errors import ConfigurationError
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock


def test_a_life_in_order(client: SessionClient, clock: FakeClock) -> None:
    """Begin, rotation, login and logout, and that it was its user who ended it."""
    token, record = client.create({})
    began = clock.now()
    clock.advance(5)
    rotated, _ = client.rotate(token)
    assert rotated is not None
    clock.advance(5)
    bound, _ = client.login(rotated, "ann")

    before = tell(client, record.sid)
    assert before.live is not None
    assert before.ended is None
    assert before.why == "it is live, and ends in 30 min if it is not used"
    assert [(each.at - began, each.words) for each in before.steps] == [
        (0, "began, signed in as nobody"),
        (5_000_000, "got a new token"),
        (10_000_000, "signed in as ann"),
    ]

    client.delete(bound)
    clock.advance(90)
    after = tell(client, record.sid)
    assert after.live is None
    assert after.ended == "deleted"
    assert after.why.startswith("it ended 1 min 30 s ago: it was ended by the application")
    assert after.steps[-1].words.startswith("ended: it was ended by the application")


def test_each_end_has_its_reason(home: Path, clock: FakeClock) -> None:
    """Revoked, evicted and expired are told apart in words."""
    store = LmdbStore(Settings(home=home, max_sessions_per_principal=1), clock=clock)
    client = SessionClient(Settings(home=home), store=store, clock=clock)
    revoked = client.create({}, principal="ann")[1].sid
    client.revoke("ann")
    evicted = client.create({}, principal="bob")[1].sid
    client.create({}, principal="bob")
    expired = client.create({}, principal="cy", lifetimes=Lifetimes(idle=60))[1].sid
    clock.advance(60)
    client.sweep()

    assert "revoked" in tell(client, revoked).why
    assert "limit" in tell(client, evicted).why
    assert "lifetime was over" in tell(client, expired).why
    assert "does not say why" in tell(client, "0" * 32).why
    client.close()


def test_ended_sessions_are_found_by_their_beginning(client: SessionClient) -> None:
    """The ring knows sids of sessions that are gone, and each of them once."""
    token, record = client.create({}, principal="ann")
    client.create({}, principal="bob")
    client.delete(token)

    assert ended_sids(client, record.sid[:10].upper()) == [record.sid]


def test_a_name_cannot_command_a_terminal(client: SessionClient) -> None:
    """What an application takes for the name of a user is shown without control characters."""
    record = client.create({}, principal="ann\x1b[2J")[1]

    assert tell(client, record.sid).steps[0].words == "began as ann?[2J"


def test_the_actor_lane_has_no_rings(home: Path) -> None:
    """It says which lane has them, without asking anybody."""
    with connect(home, lane="actor") as client, pytest.raises(ConfigurationError, match="direct lane"):
        tell(client, "0" * 32)
