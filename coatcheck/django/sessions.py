"""The session engine: ``SESSION_ENGINE = "coatcheck.django.sessions"``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import ImproperlyConfigured

from coatcheck.django.config import get_client
from coatcheck.django.cookie import yield_defaults
from coatcheck.django.session import DjangoSession
from coatcheck.errors import CoatcheckError, CorruptRecord
from coatcheck.store.gate import GateBusy

if TYPE_CHECKING:
    from coatcheck.adopt import Origin
    from coatcheck.client import SessionClient

_NOTHING_SAVED: Final = "the session has ended, or has another key by now: nothing was saved"
_suspicious = logging.getLogger("django.security.SuspiciousSession")


class SessionStore(SessionBase):
    """``request.session``.

    All of Django's ``SessionBase``, with its meaning. What differs:

    - ``save`` applies what was changed, values changed in place included, to the session as it is then: parallel
      requests keep each other's keys.
    - ``cycle_key`` and a login take effect in ``save``, as one step. ``session_key`` is the new key at once.
    - ``session_key`` is what opens the session: as with any engine, it is a secret. ``sid`` names the session and is
      none.
    - A store that cannot be asked raises StoreUnavailable where the session is used, and is never an empty session.
    """

    _session_key: Any

    def __init__(self, session_key: str | None = None) -> None:
        """Opens nothing yet. Raises ImproperlyConfigured for a ``COATCHECK`` that cannot work."""
        super().__init__(session_key)
        get_client()
        self._modified: bool | None = None
        self._presented: str | None = None
        self._peer: str | None = None
        self._meta: Mapping[str, Any] | None = None
        self.failure: CoatcheckError | None = None
        """Why the session could not be loaded; it raises that whenever it is used."""
        self._replaced: set[str] = set()
        self.origin: Origin | None = None
        """Where the session was kept before, if the request brought a cookie of there; see ``coatcheck.adopt``."""
        self.cookie_is_guarded = False
        """Whether a middleware keeps a response from bringing the browser a key that is no longer the session's."""

    # What Django asks of an engine -----------------------------------------------------------------------------

    def exists(self, session_key: str | None) -> bool:
        """Whether there is a live session of this key, other than one that this session has given up."""
        if not session_key or session_key in self._replaced:
            return False
        return self._client.find(session_key).record is not None

    def create(self) -> None:
        """Store a new session, with what this one holds, under a new key."""
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        """Apply the changes, in one transaction. A session without a key is created.

        Raises UpdateError when it has ended meanwhile, or when another response brings the browser its new key;
        StoreUnavailable; and what ``coatcheck.Session.commit`` raises.
        """
        if must_create:
            self._begin_anew()
        session = self._get_session()
        if session.borrowed and not self.cookie_is_guarded:
            raise UpdateError(_NOTHING_SAVED)
        before, session.keeps = session.state_of_store(), True
        token = self.commit()
        if token is None and session.outage is not None:
            raise session.outage
        if token is None or not (
            # Where nothing had to be written, nothing has said that this key is no longer the session's.
            self.cookie_is_guarded or session.outage or session.state_of_store() is not before or session.owns_token()
        ):
            raise UpdateError(_NOTHING_SAVED)

    def delete(self, session_key: str | None = None) -> None:
        """End the session of a key, this one without one. Idempotent."""
        if session_key is None:
            cache = self.loaded
            session_key = self.session_key if cache is None or cache.token is None else cache.token
        if session_key is not None:
            self._client.delete(session_key)

    def load(self) -> DjangoSession:
        """The session of the key as the store has it, a dict; without one, or when it has none, it is empty.

        A key that has no session is forgotten. Raises StoreUnavailable.
        """
        self.failure = None
        session = self.opened(self.session_key or self._presented)
        if self.origin is not None:
            session = self.opened(None)
            session.age = self._age()
            session.begin_from(self.origin)
        session.load()
        return self._usable(session)

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what has expired. The store does it by itself; this is for those who do not want to wait."""
        client = get_client()
        while client.sweep().more:
            pass

    # Their twins -----------------------------------------------------------------------------------------------

    async def aexists(self, session_key: str | None) -> bool:
        """The twin of ``exists``."""
        return await self._client.runner.read(partial(self.exists, session_key))

    async def acreate(self) -> None:
        """The twin of ``create``."""
        await self.asave(must_create=True)
        self.modified = True

    async def asave(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        """The twin of ``save``."""
        if must_create:
            self._begin_anew()
        await self._aget_session()
        await self._client.runner.write(self.save)

    async def adelete(self, session_key: str | None = None) -> None:
        """The twin of ``delete``."""
        await self._client.runner.write(partial(self.delete, session_key))

    async def aload(self) -> DjangoSession:
        """The twin of ``load``."""
        if self.origin is not None:  # Django's database and cache may be asked, which do not like event loops
            found: DjangoSession = await sync_to_async(self.load)()
            return found
        return await self._client.runner.read(self.load)

    @classmethod
    async def aclear_expired(cls) -> None:
        """The twin of ``clear_expired``."""
        client = get_client()
        while (await client.asweep()).more:
            pass

    # A new key, and the end ------------------------------------------------------------------------------------

    def cycle_key(self) -> None:
        """A new key for the same session, at once for whoever asks and in ``save`` for the store.

        So a login is one step, and a request that fails has changed nothing: the browser's key still works.
        """
        session = self._get_session()
        session.rotate()
        if session.token is not None:
            self._replaced.add(session.token)
        self._session_key = session.announce()
        self.modified = True

    async def acycle_key(self) -> None:
        """The twin of ``cycle_key``."""
        await self._aget_session()
        await self._client.runner.read(self.cycle_key)

    def flush(self) -> None:
        """End the session, now, whichever key it has by now. What is written afterwards begins another."""
        session = self._get_session()
        if session.token is not None:
            self._replaced.add(session.token)
        session.logout()
        session.keeps = False
        try:
            session.commit()
        except GateBusy:
            raise  # the twin comes again in a thread that waits
        except CoatcheckError:
            session.abandon()  # it goes on, with all that it has
            raise
        session.next_token = None
        self._session_key = None
        self.modified = True

    async def aflush(self) -> None:
        """The twin of ``flush``."""
        await self._aget_session()
        await self._client.runner.write(self.flush)

    def clear(self) -> None:
        """Remove all keys."""
        self._get_session().clear()
        self.modified = True

    def is_empty(self) -> bool:
        """Whether there is neither a key nor anything to store: Django then removes the browser's cookie.

        False as well where that must not happen: another response has just brought the browser a new key, or the store
        could not say anything.
        """
        session = self.loaded
        if session is None:
            return not self._session_key
        if session.borrowed or session.cut_off or session.ended:
            return False
        return not self._session_key and session.is_bare()

    # Beyond Django ---------------------------------------------------------------------------------------------

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number; parallel increments add up. What it is now, as far as known."""
        self.modified = True
        return self._get_session().increment(key, by)

    async def aincrement(self, key: str, by: float = 1) -> Any:
        """The twin of ``increment``."""
        await self._aget_session()
        return self.increment(key, by)

    def append(self, key: str, item: Any, limit: int | None = None) -> None:
        """Append to a list, of which the newest ``limit`` items are kept; parallel appends add up."""
        self.modified = True
        self._get_session().append(key, item, limit)

    async def aappend(self, key: str, item: Any, limit: int | None = None) -> None:
        """The twin of ``append``."""
        await self._aget_session()
        self.append(key, item, limit)

    @property
    def coat(self) -> DjangoSession:
        """The session behind it, with all that coatcheck has: ``sid``, ``principal``, ``auth_time``, ``flash``, ..."""
        return self._get_session()

    async def acoat(self) -> DjangoSession:
        """The twin of ``coat``, which loads it."""
        return await self._aget_session()

    def get_session_cookie_age(self) -> int:
        """Seconds: ``SESSION_COOKIE_AGE`` where it is set, else the absolute lifetime of who is signed in."""
        age: int = settings.SESSION_COOKIE_AGE
        if settings.is_overridden("SESSION_COOKIE_AGE"):
            return age
        absolute = self._client.settings.signed_in.absolute
        return age if absolute is None else round(absolute)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, values that were changed in place included."""
        if self._modified is not None:
            return self._modified
        session = self.loaded
        return session is not None and session.has_changes()

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = bool(value)

    # Inside ----------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> SessionClient:
        return get_client()

    def commit(self) -> str | None:
        """Apply the changes; the key that the browser should hold, or None when there is nothing to keep.

        For middleware: an end that came meanwhile is no error, unless ``on_ended`` says so (SessionMissing).
        """
        session = self._get_session()
        session.age = self._age()
        token = session.commit()
        if not (session.ended or session.outage):
            self._session_key = token
        return token

    @property
    def loaded(self) -> DjangoSession | None:
        """The session behind it, if it was used in this request; looking is no use."""
        session: DjangoSession | None = self.__dict__.get("_session_cache")
        return session

    def introduce(self, token: str | None, peer: str | None, meta: Mapping[str, Any]) -> None:
        """Say what the browser's cookie holds, whatever it is; from which address; what to note about the device."""
        self._presented, self._peer, self._meta = token, peer, meta

    def adopt(self, session: DjangoSession) -> None:
        """Go on with a session that was opened already: that of the valid one of several cookies."""
        self._session_key = session.token
        with suppress(CoatcheckError):  # said when the session is used
            self._session_cache = self._usable(session)

    def opened(self, token: str | None) -> DjangoSession:
        """The session behind a token, not loaded yet."""
        return DjangoSession(self._client, token, peer=self._peer, meta=self._meta)

    def _usable(self, session: DjangoSession) -> DjangoSession:
        """The session, loaded. Raises StoreUnavailable. What cannot be read is logged, and counts as missing."""
        try:
            session.keys()
        except CorruptRecord as error:
            _suspicious.warning("Session data corrupted: %s", error)
            session = self.opened(None)
        except CoatcheckError as error:
            self.failure = error
            raise
        else:
            session.accessed = False
        if not session.cut_off:
            self._session_key = session.token
        return session

    def _get_session(self, no_load: bool = False) -> DjangoSession:  # noqa: FBT001, FBT002 - Django's signature
        self.accessed = True
        session = self.loaded
        if session is None:
            if self.failure is not None:
                raise self.failure.with_traceback(None)
            session = self._session_cache = self.opened(None) if no_load else self.load()
        return session

    async def _aget_session(self, no_load: bool = False) -> DjangoSession:  # noqa: FBT001, FBT002 - Django's signature
        self.accessed = True
        if self.loaded is None and self.failure is None and not no_load:
            self._session_cache = await self.aload()
        return self._get_session(no_load)

    _session = property(_get_session)

    def _age(self) -> float | None:
        """What the application gives sessions; a method of its own counts as much as the setting."""
        own = type(self).get_session_cookie_age is not SessionStore.get_session_cookie_age
        return self.get_session_cookie_age() if own or settings.is_overridden("SESSION_COOKIE_AGE") else None

    def _begin_anew(self) -> None:
        """Go on as another session, which is not stored yet, with the values of this one where they are known."""
        former = self.loaded
        session = self._session_cache = self.opened(None)
        if former is not None:
            session.copy_anew(former)
        self._session_key = None


with suppress(ImproperlyConfigured):  # for the checks to tell, which import this too; whoever uses it is told
    yield_defaults()
