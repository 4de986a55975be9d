"""Errors between processes."""

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
from coatcheck.messages import Reply
from coatcheck.store.gate import GateBusy
from coatcheck.system.failures import error_of, reply_of

EXAMPLES: list[Exception] = [
    CoatcheckError("text"),
    ConfigurationError("text"),
    EncryptionKeyMissing("0a1b2c3d", ["4e5f6071"]),
    StoreUnavailable("text", holder_pid=7, held_for=1.5),
    StoreFull("text"),
    RequestTimeout("text", timeout=2.0),
    SessionMissing("revoked"),
    BadToken(),
    SessionConflict(3, 5),
    SessionConflict(None, None, "the new token is in use"),
    SessionTooLarge("cart", 70000, 65536, 60000),
    PrincipalLimit(3),
    ReauthenticationRequired(300.0, 900.0),
    CorruptRecord("text"),
    UnstorableValue("cart[3]", "object", "leave it out"),
    ChangeRefused("n", "text"),
    TypeError("text"),
    ValueError("text"),
]


def there_and_back(error: Exception) -> Exception:
    """What is raised in the process that asked."""
    reply: Reply = pickle.loads(pickle.dumps(reply_of(error, b"i" * 16)))
    assert reply.request_id == b"i" * 16
    arrived = error_of(reply)
    assert arrived is not None
    return arrived


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda each: type(each).__name__)
def test_an_error_arrives_as_it_was(error: Exception) -> None:
    """Class, text and evidence are those of the direct lane."""
    arrived = there_and_back(error)

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_no_error_is_forgotten() -> None:
    """Every class of the tree is among the examples."""
    tree = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CoatcheckError)}

    assert tree <= {type(each) for each in EXAMPLES}


def test_a_private_class_arrives_as_the_public_one_that_it_is() -> None:
    """A subclass that other processes need not know is raised as its nearest ancestor that they do."""
    assert type(there_and_back(GateBusy("busy"))) is StoreUnavailable


def test_a_mistake_tells_class_and_place_only() -> None:
    """Of an error that nobody foresaw, nothing that it quotes travels; and nobody loses a session over it."""
    try:
        {}["the user's secret"]  # type: ignore[index]
    except KeyError as error:
        arrived = there_and_back(error)

    assert type(arrived) is StoreUnavailable
    assert "KeyError at test_failures.py:" in str(arrived)
    assert "secret" not in str(arrived)
