"""The seal on every frame."""

from __future__ import annotations

import pickle

import pytest

from coatcheck.system.seal import MAC_SIZE, Seal, new_epoch

SECRET = b"s" * 32
EPOCH = b"e" * 16


def test_what_was_sealed_is_taken() -> None:
    """A payload comes back from a seal of the same secret and epoch, and from no other."""
    sealed = Seal(SECRET, EPOCH).put(b"payload")

    assert Seal(SECRET, EPOCH).take(sealed) == b"payload"
    assert Seal(b"t" * 32, EPOCH).take(sealed) is None
    assert Seal(SECRET, b"f" * 16).take(sealed) is None


@pytest.mark.parametrize("place", range(MAC_SIZE + len(b"payload")))
def test_every_byte_counts(place: int) -> None:
    """Whichever bit is turned, the payload is not taken."""
    seal = Seal(SECRET, EPOCH)
    sealed = bytearray(seal.put(b"payload"))
    sealed[place] ^= 1

    assert seal.take(bytes(sealed)) is None


@pytest.mark.parametrize("length", range(MAC_SIZE + 1))
def test_too_short_is_not_taken(length: int) -> None:
    """A frame that has no room for a MAC and a payload is refused, not an error."""
    sealed = Seal(SECRET, EPOCH).put(b"")[:length]

    assert Seal(SECRET, EPOCH).take(sealed[: MAC_SIZE - 1] + b"x" * (length >= MAC_SIZE)) is None


def test_a_seal_goes_to_children_and_shows_nothing() -> None:
    """It pickles for the pipe that starts a process; its repr has no key in it."""
    seal = Seal(SECRET, EPOCH)

    assert pickle.loads(pickle.dumps(seal)).take(seal.put(b"x")) == b"x"
    assert repr(seal) == "<Seal>"


def test_epochs_are_random_and_of_one_size() -> None:
    """No two starts of a system have the same epoch."""
    assert len({new_epoch() for _ in range(100)}) == 100
    with pytest.raises(ValueError, match="16 bytes"):
        Seal(SECRET, b"short")
