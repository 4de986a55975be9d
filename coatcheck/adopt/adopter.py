"""Adopter: whether a request brings the cookie of a session that was kept elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from coatcheck import cookies
from coatcheck.adopt.origin import Claim, Origin
from coatcheck.adopt.source import LegacySource
from coatcheck.errors import CoatcheckError, ConfigurationError
from coatcheck.keyring import Keyring, keyring_from
from coatcheck.store.files import SECRET
from coatcheck.tokens import RANDOM_SIZE, Tokens

if TYPE_CHECKING:
    from coatcheck.client.client import SessionClient

_LABEL: Final = "adopt"


class Adopter:
    """Finds old sessions by their cookies. Threads may share it, and clients of one state directory."""

    def __init__(self, sources: Iterable[LegacySource]) -> None:
        """``sources``: in the order in which they are asked. Raises ConfigurationError for two of one name."""
        self.sources = tuple(sources)
        names = [source.name for source in self.sources]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            msg = f"two sources are named {min(twice)!r}: give one another name=..."
            raise ConfigurationError(msg)
        self._lock = threading.Lock()
        self._keys: tuple[Keyring, Tokens] | None = None

    def origin_of(self, client: SessionClient, cookie_header: str | None, name: str | None = None) -> Origin | None:
        """Where the session of this ``Cookie`` header may have been; None for a request without an old cookie.

        ``name`` is that of the session's own cookie: a request that brings a token of ours in it has moved in already.
        Asks no old store. Never raises: where ours cannot be opened, the session that is begun from the answer says so.
        """
        found = self._found(cookie_header)
        if not found:
            return None
        try:
            keyring, tokens = self._keys_of(client)
        except CoatcheckError as error:
            return Origin(client, (), error)
        ours = {name, *(source.cookie.name for source, _ in found)} - {None}
        for each in ours:
            if any(tokens.hash_of(value) is not None for value in cookies.presented(cookie_header, each or "")):
                return None
        return Origin(client, [self._claim(keyring, tokens, *each) for each in found])

    def is_concerned(self, cookie_header: str | None) -> bool:
        """Whether there is a cookie that may be an old one, so that ``origin_of`` is worth asking. Opens nothing."""
        return bool(self._found(cookie_header))

    def _found(self, cookie_header: str | None) -> list[tuple[LegacySource, str]]:
        """The old ids, each with its source."""
        if not cookie_header:
            return []
        return [
            (source, legacy_id)
            for source in self.sources
            for value in cookies.presented(cookie_header, source.cookie.name or "")
            if (legacy_id := source.id_of(value)) is not None
        ][: cookies.MOST_PRESENTED]

    def origin_of_id(self, client: SessionClient, source: LegacySource, legacy_id: str) -> Origin:
        """The same for one id that is known already, as in a framework that looks for cookies itself."""
        return Origin(client, [self._claim(*self._keys_of(client), source, legacy_id)])

    @staticmethod
    def _claim(keyring: Keyring, tokens: Tokens, source: LegacySource, legacy_id: str) -> Claim:
        name = f"{source.name}\0{legacy_id}".encode()
        minted = []
        for root in range(len(keyring)):
            random = blake2b(name, key=keyring.derive(_LABEL, root), digest_size=RANDOM_SIZE).digest()
            minted.append(tokens.from_random(random, root))
        return Claim(source, legacy_id, minted)

    def _keys_of(self, client: SessionClient) -> tuple[Keyring, Tokens]:
        with self._lock:
            if self._keys is None:
                store, settings = client.store, client.settings
                keyring = getattr(store, "keyring", None)
                if not isinstance(keyring, Keyring):
                    keyring = keyring_from(settings.secrets, settings.home / SECRET)
                self._keys = keyring, Tokens(keyring)
            return self._keys
