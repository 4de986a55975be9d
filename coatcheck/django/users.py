"""The sessions of a user of django.contrib.auth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coatcheck.django.config import get_client

if TYPE_CHECKING:
    from coatcheck.django.sessions import SessionStore
    from coatcheck.store.contract import SessionInfo


def principal_of(user: Any) -> str:
    """The principal of a user: the primary key, as text, as django.contrib.auth has it in the session."""
    pk = user._meta.pk  # noqa: SLF001 - documented by Django
    return str(pk.value_to_string(user))


def sessions_of(user: Any) -> list[SessionInfo]:
    """The live sessions of a user, oldest first (ASVS 7.5.2). Raises StoreUnavailable."""
    return get_client().sessions_of(principal_of(user))


async def asessions_of(user: Any) -> list[SessionInfo]:
    """The twin of ``sessions_of`` for asyncio."""
    return await get_client().asessions_of(principal_of(user))


def revoke(user: Any, *, except_: SessionStore | None = None) -> int:
    """End all sessions of a user, but ``except_``, such as ``request.session``; how many (ASVS 7.4.2, 7.4.3, 7.4.5).

    Raises StoreUnavailable; then none may have ended.
    """
    return get_client().revoke(principal_of(user), except_=_token(except_))


async def arevoke(user: Any, *, except_: SessionStore | None = None) -> int:
    """The twin of ``revoke`` for asyncio."""
    return await get_client().arevoke(principal_of(user), except_=_token(except_))


def _token(session: SessionStore | None) -> str | None:
    # The one in the store: after cycle_key the session shows one that the store does not know yet.
    return None if session is None else session.coat.token
