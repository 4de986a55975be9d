"""What ends the sessions of users whose account has changed: ``COATCHECK = {"REVOKE_ON_CHANGE": True}``.

Of Django's own it is true that a changed password ends sessions when they are next used, and that a deactivated user
counts as anonymous. Here the sessions are gone from the store, for everything that uses it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save

from coatcheck.django.config import get_client, get_options
from coatcheck.django.current import current
from coatcheck.django.users import principal_of

if TYPE_CHECKING:
    from django.db.models import Model

_ACTIVE: Final = "is_active"
_PASSWORD: Final = "password"  # noqa: S105 - the name of a field
_BEFORE: Final = "_coatcheck_before"
_UID: Final = "coatcheck.django.signals"

_log = logging.getLogger("coatcheck.django")


def connect() -> None:
    """Listen to changes of the user model, where the settings ask for it."""
    if not get_options().revoke_on_change:
        return
    model = get_user_model()
    pre_save.connect(_note, sender=model, dispatch_uid=_UID)
    post_save.connect(_saved, sender=model, dispatch_uid=_UID)
    post_delete.connect(_deleted, sender=model, dispatch_uid=_UID)


def disconnect() -> None:
    """Listen no longer."""
    model = get_user_model()
    for signal in (pre_save, post_save, post_delete):
        signal.disconnect(sender=model, dispatch_uid=_UID)


def _note(sender: type[Model], instance: Any, *, using: str, **more: Any) -> None:
    """Before a save: what the database has."""
    fields = [name for name in (_PASSWORD, _ACTIVE) if _is_saved(sender, name, more.get("update_fields"))]
    before: dict[str, Any] | None = None
    if fields and instance.pk is not None and not more.get("raw"):
        before = sender._default_manager.using(using).filter(pk=instance.pk).values(*fields).first()  # noqa: SLF001
    setattr(instance, _BEFORE, before)


def _is_saved(model: type[Model], name: str, update_fields: frozenset[str] | None) -> bool:
    known = any(field.attname == name for field in model._meta.concrete_fields)  # noqa: SLF001 - documented
    return known and (update_fields is None or name in update_fields)


def _saved(sender: type[Model], instance: Any, *, using: str, **_: Any) -> None:  # noqa: ARG001 - Django's signature
    before = instance.__dict__.pop(_BEFORE, None)
    if before is None:
        return
    if before.get(_ACTIVE) and not instance.is_active:
        _revoke(principal_of(instance), using, spare=False)
    elif _PASSWORD in before and before[_PASSWORD] != instance.password:
        _revoke(principal_of(instance), using, spare=True)


def _deleted(sender: type[Model], instance: Any, *, using: str, **_: Any) -> None:  # noqa: ARG001 - Django's signature
    _revoke(principal_of(instance), using, spare=False)


def _revoke(principal: str, using: str, *, spare: bool) -> None:
    session = current.get()
    token = None
    if spare and session is not None and session.loaded is not None and session.loaded.principal == principal:
        token = session.loaded.token
    transaction.on_commit(partial(_end, principal, token), using=using)


def _end(principal: str, token: str | None) -> None:
    try:
        get_client().revoke(principal, except_=token)
    except Exception:  # noqa: BLE001 - whatever it is, it is told, and comes too late to undo the change
        # The account is changed for good, so the request must not look as if it were not. Django itself refuses the
        # old sessions as long as they live.
        _log.exception("the sessions of a user whose account was changed could not be ended")
