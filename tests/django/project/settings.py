"""The settings of the probing project: the lines that coatcheck asks for, and what Django cannot do without."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "of the tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.django.project.urls"
WSGI_APPLICATION = "django.core.wsgi.get_wsgi_application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

SESSION_ENGINE = "coatcheck.django.sessions"
MESSAGE_STORAGE = "coatcheck.django.messages.MessageStorage"
COATCHECK: dict[str, Any] = {}
if "PROBE_HOME" in os.environ:
    COATCHECK["HOME"] = os.environ["PROBE_HOME"]
if "PROBE_LANE" in os.environ:
    COATCHECK["LANE"] = os.environ["PROBE_LANE"]
if "PROBE_GATE_TIMEOUT" in os.environ:
    COATCHECK["GATE_TIMEOUT"] = float(os.environ["PROBE_GATE_TIMEOUT"])

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages", "coatcheck.django"]
OURS = "coatcheck.django.middleware.SessionMiddleware"
STOCK = "django.contrib.sessions.middleware.SessionMiddleware"
MIDDLEWARE = [
    STOCK if os.environ.get("PROBE_MIDDLEWARE") == "stock" else OURS,
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PROBE_DATABASE", "/nowhere"),
        "OPTIONS": {"timeout": 20},
    }
}
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"context_processors": ["django.contrib.messages.context_processors.messages"]},
    }
]
LOGGING_CONFIG = None
