"""PrincipalMiddleware: ``request.user`` for whoever has signed in by an application of another framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib import auth
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.functional import SimpleLazyObject

from coatcheck.django.session import USER, DjangoSession
from coatcheck.django.sessions import SessionStore

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase


class PrincipalMiddleware:
    """After ``AuthenticationMiddleware``, for applications on one store (``docs/one-store.md``).

    Where nobody has signed in by Django, the session's principal is taken for the primary key of a user, who becomes
    ``request.user``, and what ``await request.auser()`` answers, without a login of Django's. A principal that is no
    such key, and a user whom the authentication backends refuse, as one who is not active, is nobody. Where somebody
    has signed in by Django, Django has the last word, as after a change of the password.

    Nothing is asked before somebody looks at the user. A session of this kind does not end by itself when the user's
    password changes: ``COATCHECK = {"REVOKE_ON_CHANGE": True}`` ends it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """As Django makes it."""
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Raises ImproperlyConfigured where the request has no user, or no session of coatcheck's, so far."""
        session: Any = getattr(request, "session", None)
        if not isinstance(session, SessionStore) or not hasattr(request, "user"):
            msg = (
                "coatcheck.django.principal.PrincipalMiddleware comes after SessionMiddleware and "
                "AuthenticationMiddleware in MIDDLEWARE, with SESSION_ENGINE = 'coatcheck.django.sessions'"
            )
            raise ImproperlyConfigured(msg)
        own, own_of_async = request.user, getattr(request, "auser", None)
        known: list[Any] = []

        def find() -> Any:
            if own.is_authenticated:
                return own
            if not known:
                known.append(self.user_of(_principal(session.coat)) or own)
            return known[0]

        async def afind() -> Any:
            user = await own_of_async() if own_of_async is not None else await sync_to_async(find)()
            if user.is_authenticated:
                return user
            if not known:
                principal = _principal(await session.acoat())
                known.append((principal and await sync_to_async(self.user_of)(principal)) or user)
            return known[0]

        request.user = SimpleLazyObject(find)
        request.auser = afind
        response: HttpResponseBase | Awaitable[HttpResponseBase] = self.get_response(request)
        return response

    def user_of(self, principal: str | None) -> Any:
        """The user of a principal, None for nobody; a subclass may know them by something else than the key."""
        if principal is None:
            return None
        try:
            key = auth.get_user_model()._meta.pk.to_python(principal)  # noqa: SLF001 - documented by Django
        except ValidationError:
            return None
        found = (backend.get_user(key) for backend in auth.get_backends() if hasattr(backend, "get_user"))
        return next((user for user in found if user is not None), None)


def _principal(coat: DjangoSession) -> str | None:
    return None if USER in coat else coat.principal
