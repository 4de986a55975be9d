"""Django's own tests of sessions, messages and auth, run on coatcheck: ``python -m tests.django.published WHAT TESTS``.

TESTS is the folder ``tests`` of Django's source distribution. The last line printed is a JSON object: how many ran, and
what failed. Nothing of Django's is copied: its classes are found there, and given our engine, storage and middleware.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.conf import settings

NO_TABLE = "looks for the session in Django's table; coatcheck has none"
MORE_ATTRIBUTES = "compares the removing cookie as text; ours repeats all attributes, HttpOnly too"
NEW_KEY = "expects the same key after somebody has logged in again; ours is a new one (ASVS 7.2.4)"
NO_QUERY = "counts a query for the session; ours needs none"
COOKIE_STORAGE = "reads the cookie of Django's own storage"

LEFT_OUT: dict[str, dict[str, str]] = {
    "sessions": {},
    "stock-middleware": {"test_empty_session_saved": NO_TABLE},
    "middleware": {
        "test_empty_session_saved": NO_TABLE,
        "test_session_delete_on_end": MORE_ATTRIBUTES,
        "test_session_delete_on_end_with_custom_domain_and_path": MORE_ATTRIBUTES,
    },
    "messages": {"test_set_messages_success": COOKIE_STORAGE},
    "auth": {
        "test_session_key_flushed_on_login_after_password_change": NEW_KEY,
        "test_protected_view_logged_in_performance": NO_QUERY,
    },
}
"""Tests that are not run, each with the reason; all others have to pass."""

MIDDLEWARE = (
    "coatcheck.django.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)
CONTRIB = ("auth", "contenttypes", "sessions", "messages", "admin", "sites")


def configure(home: Path, apps: list[str]) -> None:
    """Settings as Django's own runner has them, with coatcheck's three lines."""
    settings.configure(
        SECRET_KEY="django_tests_secret_key",
        SESSION_ENGINE="coatcheck.django.sessions",
        MESSAGE_STORAGE="coatcheck.django.messages.MessageStorage",
        COATCHECK={"HOME": home, "REFRESH": True},
        # Django's defaults, named, as these tests expect them.
        SESSION_COOKIE_NAME="sessionid",
        SESSION_COOKIE_SECURE=False,
        SESSION_COOKIE_AGE=60 * 60 * 24 * 7 * 2,
        USE_TZ=False,
        MIGRATION_MODULES={"auth": None, "contenttypes": None, "sessions": None},  # as Django's runner has it
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=[*(f"django.contrib.{each}" for each in CONTRIB), "django.contrib.staticfiles", *apps],
        MIDDLEWARE=list(MIDDLEWARE),
        ROOT_URLCONF="urls",
        STATIC_URL="static/",
        SITE_ID=1,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.debug",
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
    )
    django.setup()


def sessions() -> list[type[unittest.TestCase]]:
    """The mixin that each of Django's engines has to pass."""
    from django.test import SimpleTestCase

    from coatcheck.django.sessions import SessionStore

    published: Any = importlib.import_module("sessions_tests.tests")
    return [type("CoatcheckSessions", (published.SessionTestsMixin, SimpleTestCase), {"backend": SessionStore})]


def stock_middleware() -> list[type[unittest.TestCase]]:
    """Django's middleware on our engine."""
    return [importlib.import_module("sessions_tests.tests").SessionMiddlewareTests]


def middleware() -> list[type[unittest.TestCase]]:
    """Our middleware in its place."""
    from coatcheck.django.middleware import SessionMiddleware

    published: Any = importlib.import_module("sessions_tests.tests")
    published.SessionMiddleware = SessionMiddleware
    return [published.SessionMiddlewareTests]


def messages() -> list[type[unittest.TestCase]]:
    """The base of the tests of all storages, what the one in sessions has beside it, and the tests of the API."""
    from django.http import HttpRequest

    from coatcheck.django.messages import MessageStorage, flash_of
    from coatcheck.django.sessions import SessionStore

    published: Any = importlib.import_module("messages_tests.test_session")

    def set_session_data(storage: Any, messages: list[Any]) -> None:
        """As the tests' own function of this name."""
        from django.contrib.messages.storage.base import Message

        for message in messages:
            flash = flash_of(message if isinstance(message, Message) else Message(20, message))
            storage.request.session.coat.flash(flash.message, flash.level)

    published.set_session_data = set_session_data

    class CoatcheckMessages(published.SessionTests):
        storage_class = MessageStorage

        def get_request(self) -> HttpRequest:
            request = HttpRequest()
            request.session = SessionStore()
            return request

        def stored_messages_count(self, storage: MessageStorage, response: object) -> int:
            return len(storage.request.session.coat.flashes())

        def test_get(self) -> None:
            storage = self.storage_class(self.get_request())
            set_session_data(storage, ["test", "me"])
            assert [message.message for message in storage] == ["test", "me"]

    names = ("test_api", "test_middleware", "test_mixins", "tests")
    return [CoatcheckMessages, *(each for name in names for each in _cases(f"messages_tests.{name}"))]


def auth() -> list[type[unittest.TestCase]]:
    """Login, logout, change of password, and the session's hash."""
    names = ("test_views", "test_basic", "test_middleware", "test_login", "test_signals", "test_context_processors")
    return [each for name in names for each in _cases(f"auth_tests.{name}")]


def _cases(module: str) -> list[type[unittest.TestCase]]:
    try:
        found = vars(importlib.import_module(module)).values()
    except ModuleNotFoundError:  # not in this version of Django
        return []
    return [
        each
        for each in found
        if isinstance(each, type) and issubclass(each, unittest.TestCase) and each.__module__ == module
    ]


WHAT = {
    "sessions": (sessions, ["sessions_tests"]),
    "stock-middleware": (stock_middleware, ["sessions_tests"]),
    "middleware": (middleware, ["sessions_tests"]),
    "messages": (messages, ["messages_tests"]),
    "auth": (auth, ["auth_tests"]),
}


def main(what: str, tests: str) -> None:
    """Run them, and print what happened."""
    sys.path.insert(0, tests)
    collect, apps = WHAT[what]
    with TemporaryDirectory() as home:
        configure(Path(home) / "state", apps)
        from django.test.runner import DiscoverRunner

        from coatcheck.django import get_client

        logging.disable(logging.NOTSET)
        suite = unittest.TestSuite(
            test
            for case in collect()
            for test in unittest.defaultTestLoader.loadTestsFromTestCase(case)
            if test._testMethodName not in LEFT_OUT[what]  # type: ignore[union-attr]
        )
        runner = DiscoverRunner(verbosity=0, interactive=False)
        runner.setup_test_environment()
        databases = runner.setup_databases(aliases={"default"})
        result = unittest.TextTestRunner(verbosity=0).run(suite)
        runner.teardown_databases(databases)
        get_client().close()  # or its upkeep writes files into the folder while that is removed
        failed = {str(test): text for test, text in [*result.failures, *result.errors]}
        print(json.dumps({"ran": result.testsRun, "skipped": len(result.skipped), "failed": failed}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
