"""``manage.py clearsessions``: Django's command, for projects without ``django.contrib.sessions`` too."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.management.commands.clearsessions import Command as DjangosCommand

from coatcheck.django.config import get_client


class Command(DjangosCommand):
    """Removes what has expired, now. The store does it by itself all the time."""

    def handle(self, **options: Any) -> None:
        """Do it, and say with ``-v 2`` what is left."""
        super().handle(**options)
        if options["verbosity"] > 1:
            self.stdout.write(f"{get_client().stats().sessions} sessions")
