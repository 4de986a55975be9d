"""Tokens: hard to guess, refused when forged, and nothing at rest leads back to one."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.keyring import Keyring
from coatcheck.tokens import Tokens

NEW, OLD = b"n" * 32, b"o" * 32
TOKENS = Tokens(Keyring([NEW]))
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
TOKEN = TOKENS.mint()


class Text(str):
    """A str that lies about what it holds."""

    __slots__ = ()

    def replace(self, *args: Any) -> str:
        """Raise."""
        raise RuntimeError


class Proxy:
    """An object that claims to be a str."""

    __class__: Any = property(lambda self: str)


def raw(token: str) -> bytes:
    """The bytes of a token."""
    return base64.urlsafe_b64decode(token + "==")


def test_a_token_is_recognised() -> None:
    """A minted token has 54 characters that every cookie takes, and a hash of 16 bytes, always the same."""
    token = TOKENS.mint()
    found = TOKENS.hash_of(token)

    assert len(token) == 54
    assert set(token) <= set(ALPHABET)
    assert found is not None
    assert len(found) == 16
    assert Tokens(Keyring([NEW])).hash_of(token) == found


def test_a_token_is_256_bits_of_the_systems_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 32 bytes come from the CSPRNG, twice the 128 bits that ASVS 7.2.3 asks for, and all of them are used."""
    asked = []

    def drawn(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    monkeypatch.setattr(secrets, "token_bytes", drawn)

    assert raw(TOKENS.mint())[:32] == bytes(range(32))
    assert asked == [32]


def test_tokens_differ() -> None:
    """No two tokens have the same text or the same hash."""
    tokens = [TOKENS.mint() for _ in range(500)]

    assert len(set(tokens)) == 500
    assert len({TOKENS.hash_of(token) for token in tokens}) == 500


def test_the_layout_in_browsers_stays() -> None:
    """Tokens that browsers hold, and the hashes that stores hold, are the same in later versions."""
    token = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8xAzn97Iqo7w"
    found = TOKENS.hash_of(token)

    assert raw(token)[:32] == bytes(range(32))
    assert found is not None
    assert found.hex() == "f50e0b23aca9117da7d01d543586ec40"


@pytest.mark.parametrize("place", range(54))
def test_any_other_character_makes_it_a_forgery(place: int) -> None:
    """A token that differs in one character is refused: wherever it is, whatever it becomes."""
    for character in set(ALPHABET + "+/=. \n\0é") - {TOKEN[place]}:
        assert TOKENS.hash_of(TOKEN[:place] + character + TOKEN[place + 1 :]) is None


@pytest.mark.parametrize(
    "spell",
    [
        lambda token: token + "==",
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token + "A",
        lambda token: token[:-1],
        lambda token: token[:30] + "\n" + token[30:],
        lambda token: token.replace("-", "+").replace("_", "/"),
        lambda token: token + "\0",
        lambda token: token.translate({ord("A"): "\N{FULLWIDTH LATIN CAPITAL LETTER A}"}),
        lambda token: token * 2,
        lambda token: f'"{token}"',
    ],
)
def test_a_token_has_one_spelling(spell: Callable[[str], str]) -> None:
    """What base64 would decode to the same bytes is another text, and refused: no session has two tokens by that."""
    token = next(each for each in iter(TOKENS.mint, None) if {"-", "_", "A"} <= set(each))

    assert TOKENS.hash_of(token) is not None
    assert TOKENS.hash_of(spell(token)) is None


@given(
    st.one_of(
        st.text(),
        st.text(ALPHABET, min_size=54, max_size=54),
        st.from_regex(r"[A-Za-z0-9_-]{53}[AQgw]", fullmatch=True),
        st.text(st.characters(), min_size=54, max_size=54),
        st.binary(),
        st.integers(),
        st.none(),
    )
)
def test_what_was_not_minted_is_none(token: object) -> None:
    """Anything at all may come in a cookie: without a right MAC it is None, and never an error."""
    assert TOKENS.hash_of(token) is None


@pytest.mark.parametrize(
    "token",
    [TOKEN.encode(), [TOKEN], {TOKEN}, Text(TOKEN), Text("x"), "A" * 10_000_000, "\ud800" * 54, str],
    ids=lambda token: type(token).__name__,
)
def test_only_a_plain_str_is_a_token(token: object) -> None:
    """Other types, liars among them, and monstrous texts are None, and never an error."""
    assert TOKENS.hash_of(token) is None


def test_what_claims_to_be_a_str_is_no_token() -> None:
    """A proxy that ``isinstance`` takes for a str is None, and never an error."""
    liar: object = Proxy()

    assert isinstance(liar, str)
    assert TOKENS.hash_of(liar) is None


def test_every_root_in_the_list_counts() -> None:
    """A token works as long as its root is in the list, in whatever place, with the same hash; then no more."""
    token = Tokens(Keyring([OLD])).mint()
    found = Tokens(Keyring([OLD])).hash_of(token)

    assert found is not None
    assert Tokens(Keyring([NEW, OLD])).hash_of(token) == found
    assert Tokens(Keyring([OLD, NEW])).hash_of(token) == found
    assert Tokens(Keyring([NEW])).hash_of(token) is None


def test_new_tokens_are_made_under_the_newest_root() -> None:
    """After a rotation of secrets the old root is needed only for old tokens."""
    token = Tokens(Keyring([NEW, OLD])).mint()

    assert TOKENS.hash_of(token) is not None
    assert Tokens(Keyring([OLD])).hash_of(token) is None


def test_the_hash_is_not_in_the_token() -> None:
    """The browser holds no part of what is kept at rest."""
    found = TOKENS.hash_of(TOKEN)

    assert found is not None
    assert all(found[place : place + 4] not in raw(TOKEN) for place in range(13))


def test_like_keeps_the_tag_and_nothing_else() -> None:
    """A token minted like another has the same tag, whichever it is, and 252 other bits of its own."""
    seen: set[int] = set()
    while len(seen) < 16:
        token = TOKENS.mint()
        seen.add(TOKENS.tag_of(token))
        twins = [TOKENS.mint(like=token) for _ in range(40)]

        assert {TOKENS.tag_of(twin) for twin in twins} == {TOKENS.tag_of(token)}
        assert all(TOKENS.hash_of(twin) for twin in twins)
        assert len({raw(twin)[0] & 0x0F for twin in twins}) > 1
        assert len({raw(each)[1:32] for each in [token, *twins]}) == 41

    assert seen == set(range(16))


def test_the_tag_is_the_first_four_bits() -> None:
    """The tag of a token and of the sid made for it are their first four bits, so that they meet in Redis."""
    for _ in range(50):
        token = TOKENS.mint()
        sid = TOKENS.new_sid(token)

        assert TOKENS.tag_of(token) == raw(token)[0] >> 4 == sid[0] >> 4
        assert len(sid) == 16


def test_a_sid_tells_nothing_of_its_token() -> None:
    """Two sids for the same token share the tag alone."""
    first, second = TOKENS.new_sid(TOKEN), TOKENS.new_sid(TOKEN)

    assert first[1:] != second[1:]
    assert len({TOKENS.new_sid(TOKEN)[0] & 0x0F for _ in range(40)}) > 1


@pytest.mark.parametrize("token", ["", "hunter2", TOKEN[:-1], TOKEN + "=", "é" * 54, 5, TOKEN.encode()], ids=range(7))
@pytest.mark.parametrize("verb", [TOKENS.tag_of, TOKENS.new_sid, TOKENS.mint], ids=["tag_of", "new_sid", "mint"])
def test_what_is_no_token_has_no_tag(verb: Callable[[Any], Any], token: Any) -> None:
    """Text without the form of a token is refused, and not shown."""
    with pytest.raises(ValueError, match="form of a token") as caught:
        verb(token)

    assert "hunter2" not in str(caught.value)


def test_the_makers_repr_has_no_secret() -> None:
    """Neither roots nor keys are shown."""
    assert repr(Tokens(Keyring([NEW, OLD]))) == "<Tokens under 2 secrets>"
