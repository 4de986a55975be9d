"""The tree of errors: what each carries, and what none of them says."""

from __future__ import annotations

import pickle

import pytest

from coatcheck import errors
from coatcheck.errors import (
    BadToken,
    ChangeRefused,
    CoatcheckError,
    ConfigurationError,
    CorruptRecord,
    EncryptionKeyMissing,
    PrincipalLimit,
    ReauthenticationRequired,
    RequestTimeout,
    SessionConflict,
    SessionMissing,
    SessionTooLarge,
    StoreFull,
    StoreUnavailable,
    UnstorableValue,
)

EXAMPLES: list[CoatcheckError] = [
    CoatcheckError("x"),
    ConfigurationError("x"),
    EncryptionKeyMissing("0a1b2c3d", ["4e5f6071"]),
    StoreUnavailable("x", holder_pid=7, held_for=1.5),
    StoreFull("x"),
    RequestTimeout("x", timeout=2.0),
    SessionMissing("deleted"),
    BadToken(),
    SessionConflict(3, 4),
    SessionTooLarge("cart", 70_000, 65_536, 69_000),
    PrincipalLimit(3),
    ReauthenticationRequired(300.0, 420.0),
    CorruptRecord("x"),
    UnstorableValue("cart[3].when", "object", "store its id"),
    ChangeRefused("hits", "hits holds a text"),
]


def test_there_is_one_tree() -> None:
    """Every error of the module derives from CoatcheckError, and the examples here are all there are."""
    defined = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)}

    assert defined == {type(each) for each in EXAMPLES}
    assert all(issubclass(each, CoatcheckError) for each in defined)


def test_missing_and_unavailable_are_never_the_same() -> None:
    """A session that is gone may cost a cookie, a store that is down never does: the branches do not meet."""
    assert issubclass(BadToken, SessionMissing)
    assert issubclass(StoreFull, StoreUnavailable)
    assert issubclass(RequestTimeout, StoreUnavailable)
    assert not issubclass(SessionMissing, StoreUnavailable)
    assert not issubclass(StoreUnavailable, SessionMissing)


def test_errors_are_what_python_calls_them() -> None:
    """A value of the wrong type is a TypeError for those who do not know coatcheck."""
    assert issubclass(UnstorableValue, TypeError)
    assert issubclass(ChangeRefused, TypeError)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda each: type(each).__name__)
def test_errors_cross_processes(error: CoatcheckError) -> None:
    """An error that was pickled has the type, the text and the evidence it had."""
    other = pickle.loads(pickle.dumps(error))

    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("unknown", "create a session"),
        ("expired", "create a session"),
        ("deleted", "create a session"),
        ("revoked", "sign in again"),
        ("retired", "use the one that rotate or login returned"),
        ("forged", "same secrets"),
    ],
)
def test_missing_says_what_to_do(reason: str, remedy: str) -> None:
    """Whatever the reason for which there is no session, the text says what it means and what helps."""
    text = str(SessionMissing(reason))

    assert text.startswith(f"no live session: {reason}: ")
    assert remedy in text


def test_evidence() -> None:
    """Each error has what it says as attributes."""
    missing = SessionMissing("revoked")
    assert missing.reason == "revoked"
    assert str(missing).startswith("no live session: revoked: ")
    assert BadToken().reason == "forged"
    assert SessionMissing().reason == "unknown"

    conflict = SessionConflict(3, 5)
    assert (conflict.expected, conflict.found) == (3, 5)
    assert "version 5, not 3" in str(conflict)

    large = SessionTooLarge("cart", 70_000, 65_536, 69_000)
    assert (large.key, large.size, large.limit) == ("cart", 70_000, 65_536)
    for part in ("'cart'", "70000", "69000", "65536", "max_session_bytes"):
        assert part in str(large)

    held = StoreUnavailable("held", holder_pid=7, held_for=1.5)
    assert (held.holder_pid, held.held_for) == (7, 1.5)
    assert RequestTimeout("late", timeout=2.0).timeout == 2.0

    value = UnstorableValue("cart[3].when", "Widget", "store its id")
    assert (value.path, value.type_name) == ("cart[3].when", "Widget")
    assert str(value) == "cannot store cart[3].when: Widget; store its id"
    assert PrincipalLimit(3).limit == 3
    assert ChangeRefused("hits", "no number").key == "hits"
