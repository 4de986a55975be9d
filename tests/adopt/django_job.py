"""Django's own stores, in a process of their own, as its settings are made once."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings

from coatcheck import ConfigurationError
from coatcheck.adopt import Adopter, DjangoCache, DjangoDatabase, LegacySource
from coatcheck.client import SessionClient, connect


def configure(directory: Path) -> None:
    """Sessions in a database, and in a cache of files."""
    settings.configure(
        SECRET_KEY="new" * 12,
        SECRET_KEY_FALLBACKS=["old" * 12],
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.sessions"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "old.db")}},
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": str(directory / "cache"),
            }
        },
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def opened(client: SessionClient, source: LegacySource, key: str) -> Any:
    """The session of a request with that key in its cookie."""
    origin = Adopter([source]).origin_of(client, f"sessionid={key}")
    assert origin is not None
    return client.open_from(origin)


def moves(client: SessionClient, source: LegacySource, store: Any, user: str) -> None:
    """A session of a user goes over, once, and is gone from Django."""
    old = store.SessionStore()
    old.update({"_auth_user_id": user, "_auth_user_backend": "b", "_auth_user_hash": "h", "cart": [1, {"x": 2}]})
    old.save()
    session = opened(client, source, old.session_key)
    assert (session.principal, session["cart"], session["_auth_user_hash"]) == (user, [1, {"x": 2}], "h")
    token = session.commit()
    assert not store.SessionStore().exists(old.session_key)
    assert opened(client, source, old.session_key).token == token
    session.logout()
    session.commit()
    old.save(must_create=True)  # as from a backup
    assert dict(opened(client, source, old.session_key)) == {}
    assert not store.SessionStore().exists(old.session_key)
    assert dict(opened(client, source, "0123456789abcdefghijklmnopqrstuv")) == {}


def lasts_no_longer(client: SessionClient, store: Any) -> None:
    """The end that Django had set holds, and what has ended there is no session."""
    old = store.SessionStore()
    old["a"] = 1
    old.set_expiry(600)
    old.save()
    lifetimes = opened(client, DjangoDatabase(), old.session_key).lifetimes
    assert 590 < lifetimes.absolute <= 600, lifetimes

    over = store.SessionStore()
    over["a"] = 1
    over.save()
    row = store.SessionStore().model.objects.get(session_key=over.session_key)
    row.expire_date -= timedelta(days=30)
    row.save()
    assert dict(opened(client, DjangoDatabase(), over.session_key)) == {}


def is_signed(client: SessionClient, store: Any) -> None:
    """By SECRET_KEY or a fallback; anything else is no session, and says so."""
    for secret, found in (("old" * 12, {"a": 1}), ("bad" * 12, {})):
        settings.SECRET_KEY, kept = secret, settings.SECRET_KEY
        old = store.SessionStore()
        old["a"] = 1
        old.save()
        settings.SECRET_KEY = kept
        assert dict(opened(client, DjangoDatabase(), old.session_key)) == found
    assert client.counters["adopt_unreadable"] == 1


class Unsafe:
    """A serializer of an application."""


def needs_the_word() -> None:
    """Pickles are read only where that was asked for."""
    settings.SESSION_SERIALIZER = "tests.adopt.django_job.Unsafe"
    for source in (DjangoCache, DjangoDatabase):
        with pytest.raises(ConfigurationError, match="allow_pickle=True"):
            source()


def main() -> None:
    """All of it."""
    directory = Path(sys.argv[1])
    configure(directory)
    from django.contrib.sessions.backends import cache, db

    with connect(directory / "state") as client:
        moves(client, DjangoDatabase(), db, "42")
        moves(client, DjangoCache(allow_pickle=True), cache, "43")
        lasts_no_longer(client, db)
        is_signed(client, db)
        assert client.check().clean
    needs_the_word()
    sys.stdout.write("moved\n")


if __name__ == "__main__":
    main()
