"""Settings of a shop without any database: all that it remembers is in the sessions."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent

# What coatcheck asks for. HOME comes from COATCHECK_HOME, as for the Flask shop: give both the same directory.
SESSION_ENGINE = "coatcheck.django.sessions"
MESSAGE_STORAGE = "coatcheck.django.messages.MessageStorage"
COATCHECK = {
    "HOME": Path(os.environ.get("COATCHECK_HOME", BASE_DIR / "coatcheck-state")).absolute(),
    # The demo speaks plain http on localhost, where not every browser sends a Secure cookie back. Behind https leave
    # this line out: the cookie is then Secure, under the name __Host-id.
    "SECURE": False,
}
INSTALLED_APPS = ["django.contrib.messages", "coatcheck.django"]
MIDDLEWARE = [
    "coatcheck.django.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)  # signs nothing that lives longer than a process
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "cloakroom.urls"
WSGI_APPLICATION = "cloakroom.wsgi.application"
USE_TZ = True
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "cloakroom" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
