"""Where a session was before: how it is taken over, once, however many requests ask for it at the same time.

The token of an adopted session is made of the old id, with a key that only the server has. So a parallel request finds
what the first one created, one whose answer was lost finds it again, and one that comes after a logout finds out that
it has ended: what the old id leads to is looked up here before the old store is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from coatcheck.adopt.source import LegacySession, LegacySource, Unreadable
from coatcheck.clock import SECOND
from coatcheck.codec import pack
from coatcheck.errors import CoatcheckError, SessionConflict, StoreUnavailable, UnstorableValue
from coatcheck.store.contract import Found

if TYPE_CHECKING:
    from coatcheck.client.client import SessionClient
    from coatcheck.lifetimes import Lifetimes

ADOPTED_FROM: Final = "adopted_from"
"""The key of the meta that names the source of an adopted session."""

_SURE: Final = 30.0
"""Seconds in which whoever adopts a session removes it from the old store; later others may have."""

_log = logging.getLogger("coatcheck.adopt")

LifetimesOf = Callable[[bool], "Lifetimes | None"]
"""The lifetimes of a session that is created; the argument says whether somebody is signed in. None: the usual."""


class Claim:
    """One old id, of one source, and the tokens that may stand for it: one for each secret, the newest first."""

    __slots__ = ("legacy_id", "source", "tokens")

    def __init__(self, source: LegacySource, legacy_id: str, tokens: Sequence[str]) -> None:
        self.source = source
        self.legacy_id = legacy_id
        self.tokens = tokens


class Origin:
    """The old ids that a request brought. ``repr`` shows none."""

    def __init__(self, client: SessionClient, claims: Sequence[Claim], error: CoatcheckError | None = None) -> None:
        """Made by :meth:`coatcheck.adopt.Adopter.origin_of`. ``error``: why nothing can be found out."""
        self._client = client
        self._claims = claims
        self._error = error

    def find(self, lifetimes_of: LifetimesOf | None = None) -> tuple[str | None, Found]:
        """The session that was adopted, now or before, and its token; else why there is none.

        Raises StoreUnavailable where either store cannot be asked, and what ``create`` raises, as SessionTooLarge: the
        old session is still there then.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        last = Found(None, "unknown")
        for claim in self._claims:
            token, found = self._find(claim, lifetimes_of)
            if found.record is not None:
                return token, found
            if found.reason != "unknown":
                last = found
        return None, last

    def removals(self, name: str, domain: str | None, path: str) -> list[str]:
        """``Set-Cookie`` values that remove the old cookies, but those that the session's own cookie replaces."""
        own = (name, domain, path)
        rules = {claim.source.cookie for claim in self._claims}
        return [each.removal() for each in rules if (each.name, each.domain, each.path) != own]

    # One of them -----------------------------------------------------------------------------------------------

    def _find(self, claim: Claim, lifetimes_of: LifetimesOf | None) -> tuple[str, Found]:
        token, found = self._find_adopted(claim)
        if found.reason != "unknown":
            self._remove_again(claim, found)
            return token, found
        legacy = self._read(claim)
        if legacy is None:
            # Another request may have adopted and removed it, after this one had looked for it here.
            return self._find_adopted(claim)
        lifetimes = self._lifetimes(claim.source, legacy, lifetimes_of)
        return (token, found) if lifetimes is _OVER else self._adopt(claim, token, legacy, lifetimes)

    def _adopt(self, claim: Claim, token: str, legacy: LegacySession, lifetimes: Any) -> tuple[str, Found]:
        store = self._client.store
        try:
            _, record = store.create(
                self._storable(claim.source, legacy),
                principal=legacy.principal,
                lifetimes=lifetimes,
                meta={ADOPTED_FROM: claim.source.name},
                flashes=legacy.flashes,
                token=token,
            )
        except (TypeError, ValueError) as error:
            # To fail would lock its user out, as the cookie would come again. The text may quote what is in it.
            self._unreadable(claim.source, f"it cannot be stored ({type(error).__name__})")
            return token, Found(None, "unknown")
        except SessionConflict:
            return token, store.find(token)  # another request was first, and may even have ended it
        began = time.monotonic()
        if not self._remove(claim) and time.monotonic() - began < _SURE:
            # It was there when it was read: somebody has signed out of the old store in between.
            store.delete(token)
            self._client.count("adopt_ended")
            return token, Found(None, "deleted", 0.0)
        self._client.count("adopted")
        count = self._client.counters["adopted"]
        if count == 1 or count % 1000 == 0:
            _log.info("%d sessions adopted by this process, the last one from %s", count, claim.source.name)
        return token, Found(record)

    def _find_adopted(self, claim: Claim) -> tuple[str, Found]:
        for token in claim.tokens:
            found = self._client.store.find(token)
            if found.reason != "unknown":
                return token, found
        return claim.tokens[0], Found(None, "unknown")

    def _read(self, claim: Claim) -> LegacySession | None:
        source = claim.source
        try:
            return source.read(claim.legacy_id)
        except Unreadable as error:
            self._unreadable(source, str(error))
            return None
        except CoatcheckError:
            raise
        except Exception as error:
            msg = f"the sessions of {source.name} cannot be asked for: {type(error).__name__}"
            raise StoreUnavailable(msg) from error

    def _unreadable(self, source: LegacySource, why: str) -> None:
        self._client.count("adopt_unreadable")
        _log.warning("a session of %s is not adopted, and its user has to sign in again: %s", source.name, why)

    def _remove(self, claim: Claim) -> bool:
        try:
            return claim.source.remove(claim.legacy_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session is here now
            self._client.count("adopt_left")
            _log.warning("an adopted session stays in %s as well: %s", claim.source.name, type(error).__name__)
            return True

    def _remove_again(self, claim: Claim, found: Found) -> None:
        """Where the process that adopted it died before it removed it, it must not be adopted a second time."""
        record = found.record
        age = None if record is None else (self._client.clock.now() - record.created_at) / SECOND
        if age is None or age > 2 * _SURE:
            with suppress(Exception):
                claim.source.remove(claim.legacy_id)

    def _lifetimes(self, source: LegacySource, legacy: LegacySession, lifetimes_of: LifetimesOf | None) -> Any:
        signed_in = legacy.principal is not None
        lifetimes = None if lifetimes_of is None else lifetimes_of(signed_in)
        if legacy.expires_at is None:
            return lifetimes
        left = legacy.expires_at - self._client.clock.now() / SECOND
        if left <= 0:
            return _OVER
        if source.sliding:
            return lifetimes
        settings = self._client.settings
        usual = lifetimes or (settings.signed_in if signed_in else settings.anonymous)
        return replace(usual, absolute=left if usual.absolute is None else min(usual.absolute, left))

    def _storable(self, source: LegacySource, legacy: LegacySession) -> dict[str, Any]:
        """What can be stored. The rest is left out, by name: better than to log somebody out for it."""
        data = {}
        for key, value in legacy.data.items():
            try:
                pack(value, str(key))
            except UnstorableValue as error:
                self._client.count("adopt_left_out")
                _log.warning("left out of a session adopted from %s: %s", source.name, error)
            else:
                data[str(key)] = value
        return data


_OVER: Final = object()
