"""Sessions that Flask-Session kept, in Redis, in files or any cache of cachelib, and in a database.

Since version 0.6 they are msgpack or JSON; before, and in cachelib always, pickles.
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Final

import msgpack

from coatcheck.adopt.pickles import unpickle
from coatcheck.adopt.source import LegacySession, Source, Unreadable
from coatcheck.errors import ConfigurationError
from coatcheck.flashes import FlashMessage

_FLASHES: Final = "_flashes"


class FlaskSessionSource(Source):
    """What all of Flask-Session's stores share: the prefix, the signature, the flashes."""

    def __init__(
        self,
        *,
        name: str,
        key_prefix: str = "session:",
        secret_key: str | bytes | None = None,
        cookie_name: str = "session",
        principal_key: str = "_user_id",
        **options: Any,
    ) -> None:
        """As ``SESSION_KEY_PREFIX`` and ``SESSION_COOKIE_NAME`` were.

        ``secret_key``: ``SECRET_KEY``, where ``SESSION_USE_SIGNER`` was on.
        ``principal_key``: Flask-Login's by default. The rest: see :class:`coatcheck.adopt.Source`.
        """
        super().__init__(name=name, cookie_name=cookie_name, principal_key=principal_key, **options)
        self.key_prefix = key_prefix
        self._unsign = None if secret_key is None else _signer(secret_key)

    def id_of(self, value: str) -> str | None:
        """The id, after its signature was checked where there has to be one."""
        if self._unsign is None:
            return super().id_of(value)
        unsigned = self._unsign(value)
        return None if unsigned is None else super().id_of(unsigned)

    def session_of(self, data: object, expires_at: float | None = None, flashes: Any = ()) -> LegacySession:
        """Flashes are a list of (category, message) in the data."""
        if isinstance(data, dict) and _FLASHES in data:
            data = dict(data)
            with suppress(TypeError, ValueError):  # whatever else it is, nobody is locked out for it
                flashes = [FlashMessage(str(level), message) for level, message in data.pop(_FLASHES)]
        return super().session_of(data, expires_at, flashes)

    def decode(self, packed: bytes) -> Any:
        """What Flask-Session wrote: msgpack, JSON, or a pickle where that is allowed. Raises Unreadable."""
        try:
            return msgpack.unpackb(packed, raw=False, timestamp=3, strict_map_key=False)
        except (ValueError, msgpack.UnpackException):  # ExtraData is a ValueError
            pass
        try:
            return json.loads(packed)
        except ValueError:
            pass
        except RecursionError:
            msg = "it is nested too deep"
            raise Unreadable(msg) from None
        if not self.allow_pickle:
            msg = "it is a pickle: allow_pickle=True would take it over"
            raise Unreadable(msg)
        return unpickle(packed)


class FlaskSessionRedis(FlaskSessionSource):
    """``SESSION_TYPE = "redis"``."""

    def __init__(self, redis: Any, *, name: str = "flask-session-redis", **options: Any) -> None:
        """``redis``: a client of redis-py, as ``SESSION_REDIS`` was, without ``decode_responses``."""
        super().__init__(name=name, **options)
        self._redis = redis

    def read(self, legacy_id: str) -> LegacySession | None:
        """Redis forgets by itself what has expired."""
        packed = self._redis.get(self.key_prefix + legacy_id)
        return None if not packed else self.session_of(self.decode(packed))

    def remove(self, legacy_id: str) -> bool:
        """DEL."""
        return bool(self._redis.delete(self.key_prefix + legacy_id))


class FlaskSessionCachelib(FlaskSessionSource):
    """``SESSION_TYPE = "cachelib"`` or ``"filesystem"``, with a ``FileSystemCache``: always pickles."""

    def __init__(self, cache: Any, *, name: str = "flask-session-cachelib", **options: Any) -> None:
        """``cache``: the ``FileSystemCache`` that ``SESSION_CACHELIB`` was, or that of ``SESSION_FILE_DIR``.

        Raises ConfigurationError without ``allow_pickle=True``.
        """
        super().__init__(name=name, **options)
        self.needs_pickle("cachelib")
        if not hasattr(cache, "_get_filename"):
            msg = f"FlaskSessionCachelib takes a cachelib.FileSystemCache, not {type(cache).__name__}"
            raise ConfigurationError(msg)
        self._file_of: Callable[[str], str] = cache._get_filename  # noqa: SLF001 - its `get` would unpickle anything

    def read(self, legacy_id: str) -> LegacySession | None:
        """A file is four bytes of time, 0 for never, and a pickle."""
        try:
            with open(self._file_of(self.key_prefix + legacy_id), "rb") as file:  # noqa: PTH123 - a path as text
                packed = file.read()
        except FileNotFoundError:
            return None
        if len(packed) < 4:
            msg = "a file that is cut short"
            raise Unreadable(msg)
        expires: int = struct.unpack("I", packed[:4])[0]
        if expires and expires < time.time():
            return None
        return self.session_of(unpickle(packed[4:]), expires or None)

    def remove(self, legacy_id: str) -> bool:
        """Unlink the file."""
        try:
            os.unlink(self._file_of(self.key_prefix + legacy_id))  # noqa: PTH108 - a path as text
        except FileNotFoundError:
            return False
        return True


class FlaskSessionSQLAlchemy(FlaskSessionSource):
    """``SESSION_TYPE = "sqlalchemy"``."""

    def __init__(
        self, engine: Any, *, table: str = "sessions", name: str = "flask-session-sqlalchemy", **options: Any
    ) -> None:
        """``engine``: an ``Engine`` of SQLAlchemy; ``table``: as ``SESSION_SQLALCHEMY_TABLE`` was."""
        try:
            import sqlalchemy
        except ModuleNotFoundError as error:
            msg = "FlaskSessionSQLAlchemy needs SQLAlchemy: pip install sqlalchemy"
            raise ModuleNotFoundError(msg, name="sqlalchemy") from error
        super().__init__(name=name, **options)
        self._engine = engine
        columns = (
            sqlalchemy.column("session_id", sqlalchemy.String),
            sqlalchemy.column("data", sqlalchemy.LargeBinary),
            sqlalchemy.column("expiry", sqlalchemy.DateTime),
        )
        rows = sqlalchemy.table(table, *columns)
        wanted = rows.c.session_id == sqlalchemy.bindparam("key")
        self._select = sqlalchemy.select(rows.c.data, rows.c.expiry).where(wanted)
        self._delete = sqlalchemy.delete(rows).where(wanted)

    def read(self, legacy_id: str) -> LegacySession | None:
        """The row; its expiry is UTC without saying so, and a row without one has expired."""
        with self._engine.connect() as connection:
            row = connection.execute(self._select, {"key": self.key_prefix + legacy_id}).first()
        if row is None or row.data is None or row.expiry is None:
            return None
        expires: datetime = row.expiry
        moment = expires.replace(tzinfo=timezone.utc).timestamp() if expires.tzinfo is None else expires.timestamp()
        return self.session_of(self.decode(bytes(row.data)), moment)

    def remove(self, legacy_id: str) -> bool:
        """DELETE."""
        with self._engine.begin() as connection:
            removed: int = connection.execute(self._delete, {"key": self.key_prefix + legacy_id}).rowcount
        return removed != 0


def _signer(secret_key: str | bytes) -> Callable[[str], str | None]:
    try:
        from itsdangerous import BadSignature, Signer
    except ModuleNotFoundError as error:
        msg = "signed cookies of Flask-Session need itsdangerous: pip install itsdangerous"
        raise ModuleNotFoundError(msg, name="itsdangerous") from error
    signer = Signer(secret_key, salt="flask-session", key_derivation="hmac")

    def unsign(value: str) -> str | None:
        if re.fullmatch(r"[A-Za-z0-9_.-]{16,300}", value) is None:
            return None
        try:
            return signer.unsign(value).decode("ascii")
        except BadSignature:
            return None

    return unsign
