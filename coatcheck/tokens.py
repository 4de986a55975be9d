"""Tokens: the ticket in the browser's cookie.

A token is 32 random bytes and an 8-byte MAC, as 54 characters of base64url. Its 256 bits come from the operating
system's generator (ASVS 7.2.3: reference tokens have at least 128 bits from a CSPRNG). The MAC lets the server refuse
what it never issued before it looks anything up. At rest there is only a keyed hash of it.
"""

from __future__ import annotations

import re
import secrets
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from coatcheck.keyring import Keyring

RANDOM_SIZE: Final = 32
"""Random bytes of a token."""

MAC_SIZE: Final = 8
"""Bytes of the MAC that follows them."""

HASH_SIZE: Final = 16
"""Bytes of the hash under which a token is found."""

SID_SIZE: Final = 16
"""Bytes of a session id."""

TOKEN_LENGTH: Final = 54
"""Characters of a token."""

# The last character carries two bits of the token and four that are zero, so each token has exactly one spelling.
_is_token: Final = re.compile(r"[A-Za-z0-9_-]{53}[AQgw]").fullmatch


class Tokens:
    """Makes tokens under the newest root of a keyring, and recognises those made under any of its roots.

    MAC and hash are one keyed BLAKE2b over the 32 random bytes, under a key derived for this purpose: its first 8
    bytes are the MAC, the next 16 the hash. Both are output of a pseudo-random function whose key only the server
    has: the MAC, which the browser holds, tells nothing about the hash, and neither can be made without the secret.
    One call instead of two halves the price of the hottest path there is.
    """

    __slots__ = ("_keyed", "_last")

    def __init__(self, keyring: Keyring) -> None:
        # A request asks for the hash of the same object when it opens its session and again when it saves.
        self._last: tuple[object, bytes | None] = (None, None)
        self._keyed = [
            blake2b(key=keyring.derive("token", index), digest_size=MAC_SIZE + HASH_SIZE)
            for index in range(len(keyring))
        ]

    def __repr__(self) -> str:
        return f"<Tokens under {len(self._keyed)} secrets>"

    def mint(self, like: str | None = None) -> str:
        """A new token of 54 characters; with ``like`` it keeps that token's tag.

        Raises ValueError when ``like`` does not have the form of a token.
        """
        random = secrets.token_bytes(RANDOM_SIZE)
        if like is not None:
            random = _with_tag(self.tag_of(like), random)
        return self.from_random(random)

    def from_random(self, random: bytes, root: int = 0) -> str:
        """The token of these 32 bytes, under that root; whoever can tell the bytes in advance has the session.

        For a token that has to be the same each time that it is made.
        """
        keyed = self._keyed[root].copy()
        keyed.update(random)
        encoded = b2a_base64(random + keyed.digest()[:MAC_SIZE], newline=False)
        return encoded.decode().rstrip("=").replace("+", "-").replace("/", "_")

    def hash_of(self, token: object) -> bytes | None:
        """The 16 bytes under which the session of ``token`` is found.

        None for all that was not minted under one of the keyring's roots, whatever its type, length or characters.
        Never raises.
        """
        last = self._last
        if last[0] is token:
            return last[1]
        if type(token) is not str or _is_token(token) is None:
            return None
        raw = a2b_base64(token.replace("-", "+").replace("_", "/") + "==")
        random, mac = raw[:RANDOM_SIZE], raw[RANDOM_SIZE:]
        for each in self._keyed:
            keyed = each.copy()
            keyed.update(random)
            digest = keyed.digest()
            if compare_digest(digest[:MAC_SIZE], mac):
                token_hash: bytes = digest[MAC_SIZE:]
                self._last = token, token_hash
                return token_hash
        return None

    @staticmethod
    def tag_of(token: str) -> int:
        """The first 4 random bits of a token, 0 to 15: which of sixteen places in Redis its session has.

        Raises ValueError for what does not have the form of a token; the MAC is not looked at.
        """
        if type(token) is not str or _is_token(token) is None:
            msg = "that does not have the form of a token"
            raise ValueError(msg)
        first: int = a2b_base64(token[:4].replace("-", "+").replace("_", "/"))[0]
        return first >> 4

    @staticmethod
    def new_sid(token: str) -> bytes:
        """16 random bytes that name a session for its life, with the tag of its first ``token``.

        Raises ValueError when ``token`` does not have the form of one.
        """
        return _with_tag(Tokens.tag_of(token), secrets.token_bytes(SID_SIZE))


def _with_tag(tag: int, random: bytes) -> bytes:
    return bytes([tag << 4 | random[0] & 0x0F]) + random[1:]
