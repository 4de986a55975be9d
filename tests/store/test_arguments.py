"""Arguments of the wrong type: each lane says the same, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.changes import Set
from coatcheck.client.actor_lane import ActorStore
from coatcheck.client.local_line import LocalLine
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import StoreContract

LONE = "lone \ud800"
"""A principal with a surrogate that has no other half, as a careless decoder makes them."""


@pytest.fixture(params=["direct", "actor"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A store on each lane; typed as anything, because the calls are wrong on purpose."""
    settings = Settings(home=tmp_path / "state", secrets=StoreContract.secrets)
    made = LmdbStore(settings) if request.param == "direct" else ActorStore(settings, line=LocalLine(settings))
    yield made
    made.close()


CHANGE = Set("key", 1)
NO_LIFETIMES = "lifetimes takes Lifetimes or None, not int: Lifetimes(idle=3600)"
NO_VERSION = "if_version takes an int or None, not str"
NO_PRINCIPAL = "a principal is a str, not {}: use str(user.id)"

CASES: dict[str, tuple[Callable[[Any, str], object], str]] = {
    "create-list": (lambda it, _: it.create([("key", 1)]), "create takes a mapping, not list"),
    "create-no-items": (lambda it, _: it.create([]), "create takes a mapping, not list"),
    "create-text": (lambda it, _: it.create("x"), "create takes a mapping, not str"),
    "create-lifetimes": (lambda it, _: it.create(lifetimes=3600), NO_LIFETIMES),
    "create-meta": (lambda it, _: it.create(meta=["x"]), "meta takes a mapping, not list"),
    "create-principal": (lambda it, _: it.create(principal=7), NO_PRINCIPAL.format("int")),
    "save-change": (
        lambda it, token: it.save(token, CHANGE),
        "save takes a sequence of changes, not Set: put it in a list",
    ),
    "save-none": (
        lambda it, token: it.save(token, None),
        "save takes a sequence of changes, not NoneType: use [] for none",
    ),
    "save-version": (lambda it, token: it.save(token, [CHANGE], if_version="1"), NO_VERSION),
    "save-bool": (
        lambda it, token: it.save(token, [CHANGE], if_version=True),
        "if_version takes an int or None, not bool",
    ),
    "rotate-grace": (lambda it, token: it.rotate(token, grace="1"), "grace takes seconds as a number, not str"),
    "rotate-version": (lambda it, token: it.rotate(token, if_version="1"), NO_VERSION),
    "rotate-change": (
        lambda it, token: it.rotate(token, changes=CHANGE),
        "rotate takes a sequence of changes, not Set: put it in a list",
    ),
    "login-lifetimes": (lambda it, token: it.login(token, "ann", lifetimes=3600), NO_LIFETIMES),
    "login-meta": (lambda it, token: it.login(token, "ann", meta=["x"]), "meta takes a mapping, not list"),
    "login-version": (lambda it, token: it.login(token, "ann", if_version="1"), NO_VERSION),
    "login-change": (
        lambda it, token: it.login(token, "ann", changes=CHANGE),
        "login takes a sequence of changes, not Set: put it in a list",
    ),
    "login-principal": (lambda it, token: it.login(token, 7), NO_PRINCIPAL.format("int")),
    "revoke-none": (lambda it, _: it.revoke(None), NO_PRINCIPAL.format("NoneType")),
    "sessions-of-none": (lambda it, _: it.sessions_of(None), NO_PRINCIPAL.format("NoneType")),
}


@pytest.mark.parametrize(("call", "text"), CASES.values(), ids=CASES.keys())
def test_a_wrong_type_is_named(store: Any, call: Callable[[Any, str], object], text: str) -> None:
    """A TypeError of coatcheck's own names argument, type and remedy, and the session stays as it was."""
    token, before = store.create({"key": 0})

    with pytest.raises(TypeError) as caught:
        call(store, token)

    assert str(caught.value) == text
    after = store.load(token)
    assert (after.version, after.data, after.principal) == (before.version, {"key": 0}, None)


def test_no_sid_is_no_sid(store: Any) -> None:
    """What is no sid is refused as such, None too."""
    with pytest.raises(ValueError, match="a sid has 32 hex digits"):
        store.revoke_sid(None)


def test_a_lone_surrogate_is_a_principal(store: Any) -> None:
    """Every text of its length is a principal: such a session is bound, listed, loaded and revoked."""
    created, _ = store.create(principal=LONE)
    token, record = store.login(store.create({"key": 1})[0], LONE)

    assert record.principal == LONE
    assert store.load(token).principal == LONE
    assert store.rotate(token)[1].principal == LONE
    assert {each.principal for each in store.sessions_of(LONE)} == {LONE}
    assert store.revoke(LONE) == 2
    assert store.load(created) is None
