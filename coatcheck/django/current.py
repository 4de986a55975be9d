"""The session of the request that is being answered, for code that has no request."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coatcheck.django.sessions import SessionStore

current: Final[ContextVar[SessionStore | None]] = ContextVar("coatcheck_django_session", default=None)
"""Set by :class:`coatcheck.django.middleware.SessionMiddleware`; None outside of a request, and under Django's own."""
