"""Sessions as dicts: what is changed in them is in the store after a commit, and nothing else is."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from coatcheck import ChangeRefused, Increment, Set, UnstorableValue
from coatcheck.client import SessionClient
from coatcheck.session import Session
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, together
from tests.support.sessions import START, data, row


@pytest.fixture
def client(store: LmdbStore, clock: FakeClock) -> SessionClient:
    """A client that loads sessions as soon as they are opened."""
    return SessionClient(store.settings, store=store, clock=clock)


def test_a_session_is_a_dict_even_for_c_code(client: SessionClient, token: str) -> None:
    """What bypasses overridden methods finds the data too."""
    session = client.open(token)

    assert isinstance(session, dict)
    assert json.dumps(session) == json.dumps(START)
    assert {**session} == dict(session) == START
    assert dict.__len__(session) == 4


MUTATORS: dict[str, Callable[[Any], object]] = {
    "set": lambda s: s.__setitem__("b", 2),
    "overwrite": lambda s: s.__setitem__("a", 2),
    "update": lambda s: s.update({"b": 2}, c=3),
    "update pairs": lambda s: s.update([("b", 2), ("a", 5)]),
    "ior": lambda s: s.__ior__({"b": 2}),
    "setdefault": lambda s: s.setdefault("b", 2),
    "setdefault there": lambda s: s.setdefault("a", 2),
    "setdefault list": lambda s: s.setdefault("new", []).append(1),
    "pop": lambda s: s.pop("a"),
    "pop default": lambda s: s.pop("nothing", None),
    "del": lambda s: s.__delitem__("a"),
    "popitem": lambda s: s.popitem(),
    "clear, set": lambda s: (s.clear(), s.update(b=1)),
    "set, del": lambda s: (s.__setitem__("b", 1), s.__delitem__("b")),
    "del, set": lambda s: (s.__delitem__("a"), s.__setitem__("a", 7)),
    "clear, set, del": lambda s: (s.clear(), s.update(b=1, c=2), s.pop("b")),
    "nested []": lambda s: s["list"].append(3),
    "nested get": lambda s: s.get("list").append(3),
    "nested deep": lambda s: s["map"]["x"].update(y=2),
    "nested values": lambda s: next(each for each in s.values() if isinstance(each, list)).append(3),
    "nested items": lambda s: dict(s.items())["map"].clear(),
    "nested copy": lambda s: s.copy()["list"].append(3),
    "nested setdefault": lambda s: s.setdefault("list", []).append(3),
    "nested in a tuple": lambda s: (s.update(t=([],)), s["t"][0].append(1)),
    "change after set": lambda s: (s.update(new=[]), s["new"].append(1)),
    "or leaves it alone": lambda s: s | {"b": 2},
    "ror leaves it alone": lambda s: {"b": 2} | s,
}


@pytest.mark.parametrize("change", MUTATORS.values(), ids=list(MUTATORS))
def test_every_change_is_stored(client: SessionClient, token: str, change: Callable[[Any], object]) -> None:
    """Whatever changes a dict changes the session in the same way, and in the store."""
    expected = copy.deepcopy(START)
    change(expected)
    session = client.open(token)

    change(session)

    assert session == expected
    assert session.commit() == token
    assert data(client, token) == expected
    assert session == expected


def test_methods_answer_as_a_dict_does(client: SessionClient) -> None:
    """Missing keys, defaults, order: as with any dict."""
    session = client.open(client.create({"b": 1, "a": [2]})[0])
    plain: dict[str, Any] = {"b": 1, "a": [2]}

    assert list(session) == list(plain)
    assert list(reversed(session)) == list(reversed(plain))
    assert list(session.items()) == list(plain.items())
    assert (len(session), bool(session), "a" in session, "c" in session) == (2, True, True, False)
    assert session.get("c", 7) == 7
    assert session != {}
    assert session == {"b": 1, "a": [2]}
    with pytest.raises(KeyError, match="c"):
        session["c"]
    with pytest.raises(KeyError, match="c"):
        session.pop("c")
    with pytest.raises(KeyError, match="c"):
        del session["c"]
    with pytest.raises(TypeError, match="int"):
        session[1] = 2  # type: ignore[index]
    assert not session.modified


def test_a_session_that_was_only_read_is_not_written(client: SessionClient) -> None:
    """Sets, tuples, dates and nested lists look the same when they are packed again."""
    now = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    token, _ = client.create(
        {"s": {3, 1, 2}, "t": (1, [2, {"k": {"x"}}]), "d": now, "n": [[[1]]], "m": {"a": {"b": []}}}
    )
    before = row(client, token)

    session = client.open(token)
    assert [session[key] for key in session] == [*session.copy().values()]
    assert session.commit() == token

    assert row(client, token) == before


def test_parallel_requests_keep_each_others_keys(client: SessionClient, token: str) -> None:
    """20 requests that overlap write 20 keys; 20 keys are there."""
    sessions = [client.open(token) for _ in range(20)]

    def request(number: int) -> None:
        sessions[number][f"key {number}"] = number
        sessions[number].increment("count")
        sessions[number].append("seen", number)
        sessions[number].flash(str(number))
        sessions[number].commit()

    together(20, request)

    found = data(client, token)
    assert {found[f"key {number}"] for number in range(20)} == set(range(20))
    assert found["count"] == 20
    assert sorted(found["seen"]) == list(range(20))
    assert sorted(int(flash.message) for flash in client.open(token).take_flashes()) == list(range(20))


def test_a_nested_change_does_not_undo_another_key(client: SessionClient, token: str) -> None:
    """Only the key whose value was changed in place is saved."""
    first, second = client.open(token), client.open(token)

    first["list"].append(3)
    second["map"]["x"]["y"] = 9
    assert second["list"] == [1, 2]
    first.commit()
    second.commit()

    assert data(client, token) == {**START, "list": [1, 2, 3], "map": {"x": {"y": 9}}}


def test_increments_and_appends_meet_what_the_store_has(client: SessionClient, token: str) -> None:
    """They are applied to the present value, not to the one that was loaded."""
    session = client.open(token)
    session.increment("a")
    session.increment("a", 10)
    session.increment("share", 0.5)
    session.append("list", 3)
    session.append("new", "x")
    assert (session["a"], session["share"]) == (12, 0.5)
    client.save(token, [Increment("a", 100), Set("list", [7])])

    session.commit()

    assert data(client, token) == {**START, "a": 112, "share": 0.5, "list": [7, 3], "new": ["x"]}
    assert session["a"] == 112
    assert session["list"] == [7, 3]


def test_additions_after_a_set_are_part_of_it(client: SessionClient, token: str) -> None:
    """The request that sets a value has its own sum."""
    session = client.open(token)
    session["a"] = 5
    session.increment("a")
    del session["z"]
    session.increment("z", 3)
    session["list"] = []
    session.append("list", 1)
    client.save(token, [Set("a", 1000), Set("list", [9, 9])])

    session.commit()

    assert data(client, token) == {**START, "a": 6, "z": 3, "list": [1]}


def test_a_set_or_del_after_additions_wins(client: SessionClient, token: str) -> None:
    """The last word on a key counts."""
    session = client.open(token)
    session.increment("a")
    session["a"] = 50
    session.append("list", 3)
    del session["list"]

    session.commit()

    assert data(client, token) == {"a": 50, "map": START["map"], "z": None}


def test_append_keeps_the_newest(client: SessionClient, token: str) -> None:
    """``limit`` is the number of items that stay."""
    session = client.open(token)
    for item in range(3, 10):
        session.append("list", item, limit=3)
    assert session["list"] == [7, 8, 9]

    session.commit()

    assert data(client, token)["list"] == [7, 8, 9]


def test_append_beside_a_change_in_place_keeps_both(client: SessionClient, token: str) -> None:
    """A list that was appended to and changed otherwise is saved as the application has it."""
    session = client.open(token)
    session["list"].insert(0, 0)
    session.append("list", 3)

    session.commit()

    assert data(client, token)["list"] == [0, 1, 2, 3]


def test_additions_need_something_to_add_to(client: SessionClient, token: str) -> None:
    """An increment of a list is refused at once, and nothing has happened."""
    session = client.open(token)

    with pytest.raises(ChangeRefused, match="list"):
        session.increment("list")
    with pytest.raises(ChangeRefused, match="int"):
        session.append("a", 1)
    with pytest.raises(ChangeRefused, match="NoneType"):
        session.append("z", 1)
    assert session == START
    assert not session.modified


def test_removing_the_last_key_ends_the_session(client: SessionClient) -> None:
    """An emptied session is not kept; the cookie goes with it."""
    token, _ = client.create({"only": 1})
    session = client.open(token)
    del session["only"]

    assert session.commit() is None
    assert session.cookie == "remove"
    assert session.sid is None
    assert not session.ended
    assert client.find(token).reason == "deleted"


def test_an_emptied_session_lives_on_when_somebody_else_has_added_a_key(client: SessionClient) -> None:
    """Whether it is empty is decided in the store, not by what this request had loaded."""
    token, _ = client.create({"only": 1})
    session = client.open(token)
    client.save(token, [Set("other", 2)])
    session.pop("only")

    assert session.commit() == token
    assert data(client, token) == {"other": 2}


def test_an_emptied_session_lives_on_for_its_flashes(client: SessionClient) -> None:
    """A flash that waits keeps the session, and so does one pushed by the same request."""
    token, _ = client.create({"only": 1})
    session = client.open(token)
    session.clear()
    session.flash("Bye")

    assert session.commit() == token
    assert [flash.message for flash in client.open(token).flashes()] == ["Bye"]


def test_an_unset_key_that_was_never_stored_is_no_change(client: SessionClient, token: str) -> None:
    """Put in and taken out again within one request: no write."""
    before = row(client, token)
    session = client.open(token)
    session["b"] = 1
    session.pop("b")
    session.update(b=1)
    session.popitem()

    assert not session.modified
    assert session.commit() == token
    assert row(client, token) == before


def test_modified_by_hand(client: SessionClient, token: str) -> None:
    """True looks at values that only C code got hold of; False drops the changes of keys."""
    session = client.open(token)
    dict.__getitem__(session, "list").append(3)
    session.commit()
    assert data(client, token) == START
    session.modified = True
    session.commit()
    assert data(client, token)["list"] == [1, 2, 3]

    session = client.open(token)
    session["a"] = 100
    session["list"].append(100)
    session.modified = False
    assert not session.modified
    session.commit()

    assert data(client, token) == {**START, "list": [1, 2, 3]}


def test_what_cannot_be_stored_is_named_and_can_be_mended(client: SessionClient, token: str) -> None:
    """The error has the path; nothing was applied, and the other changes still wait."""
    session = client.open(token)
    session["b"] = 1
    session["list"].append({"when": object()})

    with pytest.raises(UnstorableValue, match=r"list\[2\]\.when"):
        session.commit()
    assert data(client, token) == START
    session["list"].pop()

    assert session.commit() == token
    assert data(client, token) == {**START, "b": 1}


def test_copies_and_pickles_are_plain_dicts(client: SessionClient, token: str) -> None:
    """They may go anywhere, so they carry neither token nor store."""
    session = client.open(token)

    for twin in (session.copy(), copy.copy(session), copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        assert type(twin) is dict
        assert twin == START
    assert token.encode() not in pickle.dumps(session)


def test_repr_shows_neither_data_nor_token(home: Any, client: SessionClient, token: str) -> None:
    """Sessions end up in logs and tracebacks."""
    session = client.open(token)
    assert repr(session) == str(session) == f"<Session {str(session.sid)[:8]}, 4 keys>"
    assert repr(client.open(None)) == "<Session new, 0 keys>"
    assert repr(Session(client, token)) == "<Session not loaded>"
    assert token not in repr(client) + repr(Settings(home=home))
