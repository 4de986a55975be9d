"""A user's sessions and devices, all that is kept about them, and how that is erased."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from coatcheck.admin.reading.people import erase, export, person
from coatcheck.client import SessionClient
from coatcheck.flashes import FlashMessage
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.support.keys import NEW

PHONE = {"label": "my phone", "ip": "10.0.0.7", "user_agent": "Firefox"}


def test_devices_are_what_sessions_have_in_common(client: SessionClient, clock: FakeClock) -> None:
    """Sessions of one device are counted together, the one used last comes first."""
    for meta in (PHONE, PHONE, {"ip": "10.0.0.8"}):
        clock.advance(10)
        client.create({}, principal="ann", meta=meta)
    client.create({}, principal="bob", meta=PHONE)

    found = person(client, "ann")

    assert [(each.label, each.ip, each.sessions) for each in found.devices] == [
        (None, "10.0.0.8", 1),
        ("my phone", "10.0.0.7", 2),
    ]
    assert len(found.sessions) == 3
    assert person(client, "nobody").devices == ()


def test_export_has_all_of_one_user_and_nothing_of_others(client: SessionClient) -> None:
    """Sessions with data, flashes and meta, devices and events; no token, and nothing of anybody else."""
    when = datetime(2026, 1, 2, tzinfo=timezone.utc)
    token, _ = client.create({"cart": [1], "when": when}, principal="ann", meta=PHONE)
    client.add_flash(token, FlashMessage.info("for ann"))
    other, _ = client.create({"secret": "bobs"}, principal="bob")

    found = export(client, "ann")
    text = json.dumps(found)

    (session,) = found["sessions"]
    assert session["data"] == {"cart": [1], "when": "2026-01-02T00:00:00+00:00"}
    assert session["flashes"] == [{"level": "info", "title": None, "message": "for ann"}]
    assert session["meta"] == PHONE
    assert [each["kind"] for each in found["events"]] == ["created"]
    assert found["devices"][0]["label"] == "my phone"
    assert "bob" not in text
    assert token not in text
    assert other not in text


def test_erase_leaves_no_trace_of_the_name(client: SessionClient, store: LmdbStore) -> None:
    """Sessions end, the name is in no event any more; what happened, and others, stay."""
    token, record = client.create({}, principal="ann")
    client.create({}, principal="bob")

    done = erase(client, "ann")

    assert (done.sessions, done.events) == (1, 2)
    assert client.load(token) is None
    assert client.sessions_of("ann") == []
    assert [(each.kind, each.principal) for each in store.events()] == [
        ("created", None),
        ("created", "bob"),
        ("revoked", None),
    ]
    assert {each.sid for _, each in store.history(sid=record.sid)} == {record.sid}
    assert erase(client, "ann") == type(done)(0, 0)


def test_erase_takes_many_events_in_small_steps(client: SessionClient, store: LmdbStore) -> None:
    """More events than one step takes are all found."""
    for _ in range(260):
        client.delete(client.create({}, principal="ann")[0])
    client.create({}, principal="ann b")

    assert erase(client, "ann").events == 520
    assert [each.principal for each in store.events() if each.principal] == ["ann b"]


@pytest.mark.parametrize("name", ["ann", "änn\udcff"])
def test_an_encrypted_store_finds_and_forgets_names_too(home: Path, clock: FakeClock, name: str) -> None:
    """There a name stands in no row as it is."""
    settings = Settings(home=home, encryption_keys=[NEW])
    store = LmdbStore(settings, clock=clock)
    client = SessionClient(settings, store=store, clock=clock)
    client.create({"cart": 1}, principal=name)
    client.create({}, principal="bob")

    assert export(client, name)["sessions"][0]["data"] == {"cart": 1}
    assert [each["kind"] for each in export(client, name)["events"]] == ["created"]
    assert erase(client, name).events == 2
    assert [each.principal for each in store.events()] == [None, "bob", None]
    assert store.check().clean
    client.close()
