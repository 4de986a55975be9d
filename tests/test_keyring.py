"""Keys: derived apart from each other, from roots that are good enough."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import ConfigurationError
from coatcheck.keyring import Keyring, parse_secrets

NEW, OLD = b"n" * 32, b"o" * 32
LABELS = ["token", "principal", "wire", "check"]


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ([], "no secret"),
        ([NEW, b"hunter2"], "secret 2 has 7 bytes, 32 are needed"),
        ([b"h" * 31], "secret 1 has 31 bytes"),
        ([b""], "secret 1 has 0 bytes"),
        ([NEW, OLD, NEW], "the same secret twice"),
        (["hunter2" * 9], "secret 1 is str, not bytes"),
        (NEW, "secret 1 is int, not bytes"),
        ([bytearray(NEW)], "secret 1 is bytearray, not bytes"),
    ],
)
def test_bad_roots_are_refused(roots: Any, said: str) -> None:
    """A root that is missing, too short, given twice or not bytes is refused with its place, never its content."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        Keyring(roots)

    assert "hunter2" not in str(caught.value)
    assert "nnn" not in str(caught.value)


@pytest.mark.parametrize("roots", [[], [b"short"]])
def test_the_refusal_says_how_to_make_a_secret(roots: list[bytes]) -> None:
    """Who has no secret or a short one is told the command that makes a good one."""
    with pytest.raises(ConfigurationError) as caught:
        Keyring(roots)

    assert 'python -c "import secrets; print(secrets.token_urlsafe(32))"' in str(caught.value)


def test_each_purpose_has_its_own_key() -> None:
    """No two of label, root and size lead to the same key, nor to the beginning of another."""
    keyring = Keyring([NEW, OLD])
    keys = [
        keyring.derive(label, index, size)
        for label, index, size in itertools.product(LABELS, range(2), (8, 16, 32, 64))
    ]

    assert len({key[:8] for key in keys}) == len(keys)
    assert [len(key) for key in keys] == [8, 16, 32, 64] * 8


def test_a_key_depends_on_nothing_but_root_label_and_size() -> None:
    """The same root gives the same keys in every process, whatever other roots there are: stores rely on it."""
    assert Keyring([NEW]).derive("token").hex() == "42f7b1a4f69c58e567af8e4af0145d87a36343847d232a91840f2c4ae8ac99b1"
    assert Keyring([OLD, NEW]).derive("token", 1) == Keyring([NEW]).derive("token")


@pytest.mark.parametrize("size", [32, 63, 64, 65, 128, 10_000])
def test_all_of_a_root_counts(size: int) -> None:
    """Roots of any length work, and their last byte matters as much as their first."""
    root = bytes(size - 1)
    keys = {Keyring([each]).derive("token") for each in (root + b"\0", root + b"\1", b"\1" + root, root + b"\0\0")}

    assert len(keys) == 4


@pytest.mark.parametrize("label", ["", "x" * 17, "two words", "ü", "nul\0"])
def test_a_label_is_short_and_visible(label: str) -> None:
    """Labels that could mean the same key as another one are refused."""
    with pytest.raises(ValueError, match="is no label"):
        Keyring([NEW]).derive(label)


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_no_key_of_a_root_that_is_not_there(index: int) -> None:
    """An index outside of the keyring is an error, never another root's key."""
    with pytest.raises(IndexError):
        Keyring([NEW, OLD]).derive("token", index)


@pytest.mark.parametrize("size", [0, 65])
def test_a_key_has_1_to_64_bytes(size: int) -> None:
    """Other sizes are refused."""
    with pytest.raises(ValueError, match="digest_size"):
        Keyring([NEW]).derive("token", size=size)


def test_fingerprints_recognise_roots() -> None:
    """Each root has a fingerprint of 8 bytes, its own and the same in any keyring, newest first."""
    first, second = Keyring([NEW, OLD]).fingerprints()

    assert [first] == Keyring([NEW]).fingerprints()
    assert [second] == Keyring([OLD]).fingerprints()
    assert first != second
    assert len(first) == len(second) == 8


def test_a_principal_is_found_under_every_root() -> None:
    """A principal has one hash of 16 bytes for each root, newest first, so that rotation of secrets loses nobody."""
    before = Keyring([OLD]).principal_hashes("user-42")
    after = Keyring([NEW, OLD]).principal_hashes("user-42")

    assert after[1:] == before
    assert after[0] != after[1]
    assert [len(each) for each in after] == [16, 16]


@given(st.lists(st.text(st.characters(), min_size=1, max_size=10), unique=True, max_size=20))
def test_principals_do_not_share_a_hash(principals: list[str]) -> None:
    """Different principals have different hashes, whatever characters they are made of; equal ones equal hashes."""
    keyring = Keyring([NEW])
    hashes = [keyring.principal_hashes(each)[0] for each in principals]

    assert len(set(hashes)) == len(principals)
    assert hashes == [keyring.principal_hashes(each)[0] for each in principals]


@pytest.mark.parametrize("shown", [repr, str, lambda keyring: f"{keyring!r:>30}"])
def test_a_keyring_shows_only_how_many(shown: Callable[[Keyring], str]) -> None:
    """No text about a keyring has anything of its roots."""
    assert shown(Keyring([NEW, OLD])).strip() == "<Keyring of 2>"


def test_a_keyring_is_not_pickled() -> None:
    """Secrets do not travel with messages between processes."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Keyring([NEW]))


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("", []),
        (" , \n,", []),
        ("new", [b"new"]),
        ("new,old", [b"new", b"old"]),
        ("  new old\told-er\r\n\noldest , ", [b"new", b"old", b"old-er", b"oldest"]),
        ("schlüssel", "schlüssel".encode()),
        ("not-utf8-\udcff", b"not-utf8-\xff"),
    ],
)
def test_secrets_are_parsed_from_text(text: str, roots: list[bytes] | bytes) -> None:
    """Secrets in a setting are separated by commas or white space, newest first, and may be any bytes."""
    assert parse_secrets(text) == (roots if isinstance(roots, list) else [roots])
