"""How messages cross between processes."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import pickletools
from typing import Any

import msgpack
import pytest

from coatcheck import Append, Clear, FlashMessage, Increment, Lifetimes, Set, SetLifetimes, Unset
from coatcheck.changes import DropIfEmpty, PushFlash, ReplaceFlashes
from coatcheck.errors import UnstorableValue
from coatcheck.messages import (
    ActorReport,
    AddFlash,
    CleanupExpired,
    CreateSession,
    FlashesTaken,
    LoadSession,
    Message,
    RequestFailed,
    RevokeSessions,
    SaveSession,
    SessionsCleaned,
    SessionsListed,
    StoreChecked,
    StoreInspected,
)
from coatcheck.messages.packing import pack, restore
from coatcheck.store.contract import CheckReport, CleanupReport, Problem, SessionInfo, StoreStats

FLASH = FlashMessage.warning("mind the gap", title="Notice")
CHANGES = (
    Set("a", {1, 2, (3, 4)}),
    Unset("b"),
    Clear(),
    Increment("c", 10**30),
    Append("d", dt.date(2026, 11, 22), limit=3),
    SetLifetimes(Lifetimes(idle=None, absolute=60.0)),
    PushFlash(FLASH),
    ReplaceFlashes((FLASH, FLASH)),
    DropIfEmpty(),
)
INFO = SessionInfo(sid="ab" * 16, principal="u", created_at=1, last_seen_at=2, expires_at=3, meta={"ip": "::1"}, size=4)
EXAMPLES: list[Message] = [
    LoadSession(token="t", deadline=12.5),
    CreateSession(
        data={"cart": [1], "when": dt.timedelta(3)},
        principal="u",
        lifetimes=Lifetimes(),
        meta={"a": 1},
        flashes=(FLASH,),
        token="t",
    ),
    CreateSession(),
    SaveSession(token="t", changes=CHANGES, if_version=7, confirm=True),
    AddFlash(token="t", flash=FLASH),
    FlashesTaken(take_id="x", flashes=(FLASH,)),
    RevokeSessions(sid="ab" * 16, confirm=True),
    CleanupExpired(limit=3),
    SessionsCleaned(report=CleanupReport(removed=3, more=True, seconds=0.25)),
    SessionsListed(sessions=(INFO, INFO)),
    StoreInspected(
        stats=StoreStats(
            sessions=1,
            principals=2,
            tokens=3,
            due=4,
            oldest_due=5.5,
            used_bytes=6,
            map_bytes=7,
            file_bytes=8,
            readers=9,
            audit_events=10,
            durability="second",
            counters={"loads": 11},
        )
    ),
    StoreChecked(report=CheckReport(sessions=1, entries=2, problems=(Problem("k", "w", "d"),))),
    RequestFailed(kind="StoreFull", text="full", evidence={"holder_pid": None}),
    ActorReport(
        actor="A",
        version="1",
        pid=1,
        parent_pid=2,
        started_at=3,
        uptime=0.5,
        handled={"LoadSession": 3},
        failed={},
        late=1,
        unrecognized=2,
        last_error=None,
        details={},
        children=({"actor": "B", "seen": None},),
    ),
    LoadSession(token="lone \udc80 surrogate"),
]


@pytest.mark.parametrize("sent", EXAMPLES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_as_it_was(sent: Message) -> None:
    """Pickling and copying keep every field, with the types that sessions may hold."""
    assert pickle.loads(pickle.dumps(sent)) == sent
    assert copy.deepcopy(sent) == sent


@pytest.mark.parametrize("sent", EXAMPLES, ids=lambda each: type(each).__name__)
def test_only_one_global_is_pickled(sent: Message) -> None:
    """Whatever a message holds, an unpickler meets the one function that restores messages, and bytes."""
    strings = [arg for _, arg, _ in pickletools.genops(pickle.dumps(sent, 4)) if isinstance(arg, str)]

    assert strings == ["coatcheck.messages.packing", "restore", type(sent).__name__]


@pytest.mark.parametrize("sent", EXAMPLES, ids=lambda each: type(each).__name__)
def test_no_message_shows_what_it_holds(sent: Message) -> None:
    """``repr`` and ``str`` have the class and a short request id: Thespian prints messages into logs and status."""
    expected = f"<{type(sent).__name__} {sent.request_id[:4].hex()}>"

    assert repr(sent) == str(sent) == expected


def test_requests_have_ids_of_their_own() -> None:
    """Two requests are never taken for each other."""
    ids = {LoadSession(token="t").request_id for _ in range(100)}

    assert len(ids) == 100
    assert {len(each) for each in ids} == {16}


def test_a_message_cannot_be_changed() -> None:
    """Messages are frozen, slotted, and take keywords only."""
    sent = LoadSession(token="t")

    with pytest.raises(AttributeError):
        sent.token = "u"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        sent.other = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        LoadSession("t")  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (LoadSession(token=None), "token"),  # type: ignore[arg-type]
        (LoadSession(token="t", touch=1), "touch"),  # type: ignore[arg-type]
        (LoadSession(token="t", deadline="soon"), "deadline"),  # type: ignore[arg-type]
        (SaveSession(token="t", changes=[("a", 1)]), "changes"),  # type: ignore[list-item]
        (SaveSession(token="t", changes=Set("a", 1)), "changes"),  # type: ignore[arg-type]
        (AddFlash(token="t", flash="hello"), "flash"),  # type: ignore[arg-type]
        (CreateSession(data=[1]), "data"),  # type: ignore[arg-type]
        (CreateSession(lifetimes=30), "lifetimes"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_named_before_anything_is_sent(sent: Message, field: str) -> None:
    """The sender gets a TypeError with class and field, not a late failure from another process."""
    with pytest.raises(TypeError, match=rf"^{type(sent).__name__}\.{field}: takes"):
        pickle.dumps(sent)


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (CreateSession(data={"cart": [1, object()]}), r"cart\[1\]"),
        (SaveSession(token="t", changes=[Set("cart", {"x": object()})]), "cart"),
        (SaveSession(token="t", changes=[Append("seen", object())]), "seen"),
    ],
)
def test_an_unstorable_value_is_named_as_the_store_names_it(sent: Message, path: str) -> None:
    """The path in the error begins with the session key on either lane."""
    with pytest.raises(UnstorableValue, match=f"cannot store {path}"):
        pickle.dumps(sent)


def bad_frames() -> list[tuple[str, bytes]]:
    """What a broken or hostile peer might send."""
    good: list[Any] = msgpack.unpackb(pack(LoadSession(token="t")))
    return [
        ("LoadSession", msgpack.packb([*good, 1])),
        ("LoadSession", msgpack.packb(good[:-1])),
        ("LoadSession", msgpack.packb({"token": "t"})),
        ("LoadSession", msgpack.packb([*good[:2], 17, *good[3:]])),
        ("LoadSession", b"\xc1"),
        ("LoadSession", pack(LoadSession(token="t")) + b"\x00"),
        ("NoSuchMessage", msgpack.packb(good)),
        ("restore", msgpack.packb(good)),
        ("__all__", msgpack.packb(good)),
        ("SaveSession", msgpack.packb([b"i" * 16, None, False, "t", [["System", []]], None])),
        ("SessionLoaded", msgpack.packb([b"i" * 16, b"no record"])),
    ]


@pytest.mark.parametrize(("name", "packed"), bad_frames(), ids=range(len(bad_frames())))
def test_what_is_not_a_message_is_refused(name: str, packed: bytes) -> None:
    """Unknown names, surplus or missing fields and wrong types are a clear ValueError without content."""
    with pytest.raises(ValueError, match=r"different versions|cannot be read"):
        restore(name, packed)
