"""The application: ``INSTALLED_APPS = [..., "coatcheck.django"]``."""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class CoatcheckConfig(AppConfig):
    """System checks, management commands, and the signals that end sessions."""

    name = "coatcheck.django"
    label = "coatcheck"
    verbose_name = "coatcheck"

    def ready(self) -> None:
        """Register what Django calls later. Settings that cannot work are for the checks to tell."""
        from coatcheck.django import checks, signals
        from coatcheck.django.cookie import yield_defaults

        checks.register()
        with suppress(ImproperlyConfigured):
            yield_defaults()
            signals.connect()
