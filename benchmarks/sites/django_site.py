"""The site in Django: coatcheck, ``cached_db`` on Redis and SQLite, or signed cookies."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.contents import CHANGED_KEY, READ_KEY, content

side = os.environ["SITE_SIDE"]
engines = {
    "coatcheck": "coatcheck.django.sessions",
    "redis": "django.contrib.sessions.backends.cached_db",
    "cookie": "django.contrib.sessions.backends.signed_cookies",
}
options: dict[str, Any] = {
    "SECRET_KEY": "benchmarks-benchmarks-benchmarks-benchmarks",
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": __name__,
    "INSTALLED_APPS": ["django.contrib.sessions"],
    "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
    "SESSION_ENGINE": engines[side],
    "USE_TZ": True,
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["SITE_HOME"] + ".sqlite3",
            "OPTIONS": {"timeout": 20},
        }
    },
}
if side == "redis":
    location = f"redis://127.0.0.1:{os.environ['SITE_REDIS']}/1"
    options["CACHES"] = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}}
if side == "coatcheck":
    options["COATCHECK"] = {"HOME": os.environ["SITE_HOME"], "SECURE": False}
settings.configure(**options)
django.setup()


def start(request: HttpRequest) -> JsonResponse:
    """A new session with data. Django's serializer is JSON, so moments are text."""
    for key, value in content(os.environ["SITE_SIZE"], int(request.GET["n"])).items():
        request.session[key] = _plain(value)
    return JsonResponse({"started": True})


def read(request: HttpRequest) -> JsonResponse:
    """One key of it."""
    return JsonResponse({"user": request.session[READ_KEY]})


def write(request: HttpRequest) -> JsonResponse:
    """The same, and another one changed."""
    request.session[CHANGED_KEY] = os.urandom(4).hex()
    return JsonResponse({"user": request.session[READ_KEY]})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


urlpatterns = [path("start", start), path("read", read), path("write", write)]
app = get_wsgi_application()


def prepare() -> None:
    """Make the tables."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
