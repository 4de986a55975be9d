"""A framework's one lifetime as coatcheck's two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.settings import Settings
    from coatcheck.store.record import Record


def stretched(lifetimes: Lifetimes, seconds: float) -> Lifetimes:
    """With that idle lifetime, and that absolute one too where it is longer."""
    absolute = lifetimes.absolute
    return replace(
        lifetimes,
        idle=seconds,
        absolute=None if absolute is None else max(absolute, seconds),
        touch_interval=None,
    )


def lifetimes_for(
    settings: Settings, record: Record | None, seconds: float | None, *, signed_in: bool
) -> Lifetimes | None:
    """The lifetimes of a session that is created or signed in, where the application asks for one of ``seconds``.

    None: as the settings say. A login leaves lifetimes alone that were chosen for this very session.
    """
    if seconds is None:
        return None
    usual = stretched(settings.anonymous, seconds)
    if record is not None and (record.lifetimes.idle, record.lifetimes.absolute) != (usual.idle, usual.absolute):
        return None
    return stretched(settings.signed_in if signed_in else settings.anonymous, seconds)
