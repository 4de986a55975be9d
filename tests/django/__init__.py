"""The integration for Django, on the project in the folder next to this file."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.project.settings")
