"""Sessions that Django kept, in its database or in a cache; read by Django itself, whose settings have to be there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from coatcheck.adopt.source import LegacySession, Source, Unreadable

_KEY: Final = re.compile(r"[a-z0-9]{8,40}")


class DjangoSource(Source):
    """What Django's stores share. A session ends when it would have ended there, unless ``sliding`` is True."""

    def __init__(
        self,
        *,
        name: str,
        cookie_name: str = "sessionid",
        principal_key: str = "_auth_user_id",
        sliding: bool = False,
        **options: Any,
    ) -> None:
        """``sliding``: as ``SESSION_SAVE_EVERY_REQUEST`` was. The rest: see :class:`coatcheck.adopt.Source`."""
        super().__init__(name=name, cookie_name=cookie_name, principal_key=principal_key, **options)
        self.sliding = sliding

    def id_of(self, value: str) -> str | None:
        """Django's keys are small letters and digits."""
        return value if _KEY.fullmatch(value) else None


class DjangoDatabase(DjangoSource):
    """``SESSION_ENGINE`` ``django.contrib.sessions.backends.db``, or ``cached_db``, whose database has them all."""

    def __init__(self, *, name: str = "django-db", **options: Any) -> None:
        """Raises ConfigurationError where ``SESSION_SERIALIZER`` is not JSON, without ``allow_pickle=True``."""
        super().__init__(name=name, **options)
        from django.contrib.sessions.backends.db import SessionStore
        from django.core.signing import JSONSerializer

        self._store: Callable[[str], Any] = SessionStore
        if not issubclass(SessionStore().serializer, JSONSerializer):
            self.needs_pickle("SESSION_SERIALIZER, which is not Django's JSON,")

    def read(self, legacy_id: str) -> LegacySession | None:
        """The row, if its signature is right."""
        store = self._store(legacy_id)
        row = store._get_session_from_db()  # noqa: SLF001 - `load` answers {} for all that is wrong
        if row is None:
            return None
        data = store.decode(row.session_data)
        if not data:
            msg = "it is empty, or not signed with SECRET_KEY or one of SECRET_KEY_FALLBACKS"
            raise Unreadable(msg)
        return self.session_of(data, row.expire_date.timestamp())

    def remove(self, legacy_id: str) -> bool:
        """DELETE."""
        removed, _ = self._store(legacy_id).model.objects.filter(session_key=legacy_id).delete()
        return bool(removed)


class DjangoCache(DjangoSource):
    """``SESSION_ENGINE`` ``django.contrib.sessions.backends.cache``: Django's caches hold pickles."""

    def __init__(self, *, name: str = "django-cache", **options: Any) -> None:
        """Raises ConfigurationError without ``allow_pickle=True``: Django's own cache unpickles anything."""
        super().__init__(name=name, **options)
        self.needs_pickle("Django's cache")
        from django.contrib.sessions.backends.cache import SessionStore

        self._store: Callable[[str], Any] = SessionStore

    def read(self, legacy_id: str) -> LegacySession | None:
        """The cache forgets by itself what has expired, and does not say when the rest will."""
        store = self._store(legacy_id)
        data = store._cache.get(store.cache_key)  # noqa: SLF001 - `load` takes an outage for an empty session
        return None if data is None else self.session_of(data)

    def remove(self, legacy_id: str) -> bool:
        """Delete the entry."""
        store = self._store(legacy_id)
        return bool(store._cache.delete(store.cache_key))  # noqa: SLF001 - `delete` does not say whether there was one
