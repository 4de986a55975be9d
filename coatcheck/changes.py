"""Changes: what a save carries, applied in order to the record as it is then, in one write transaction.

Two saves that touch different keys both survive; of two that set the same key the later one does;
:class:`Increment` and :class:`Append` always add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes


class Change:
    """One step of a save. Its ``repr`` names the key, never the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        key = getattr(self, "key", None)
        return f"{type(self).__name__}({'' if key is None else repr(key)})"


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        msg = f"session keys are str, not {type(key).__name__}"
        raise TypeError(msg)


@dataclass(frozen=True, repr=False)
class Set(Change):
    """Put a value under a key, whatever is there."""

    key: str
    value: Any

    def __post_init__(self) -> None:
        """Raise TypeError for a key that is not a str."""
        if type(self.key) is not str:
            _check_key(self.key)


@dataclass(frozen=True, repr=False)
class Unset(Change):
    """Remove a key; nothing happens when it is not there."""

    key: str

    def __post_init__(self) -> None:
        """Raise TypeError for a key that is not a str."""
        if type(self.key) is not str:
            _check_key(self.key)


@dataclass(frozen=True, repr=False)
class Clear(Change):
    """Remove all keys. Flashes, principal and lifetimes stay."""


@dataclass(frozen=True, repr=False)
class Increment(Change):
    """Add a number to a key; a missing one counts as 0. Refused (ChangeRefused) where no number is."""

    key: str
    by: int | float = 1

    def __post_init__(self) -> None:
        """Raise TypeError for a key that is not a str or a step that is not a number."""
        _check_key(self.key)
        if isinstance(self.by, bool) or not isinstance(self.by, (int, float)):
            msg = f"Increment({self.key!r}) takes an int or float, not {type(self.by).__name__}"
            raise TypeError(msg)


@dataclass(frozen=True, repr=False)
class Append(Change):
    """Append an item to the list under a key; a missing one counts as empty. Refused where no list is."""

    key: str
    item: Any
    limit: int | None = None
    """How many items to keep, the newest; None keeps all."""

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a key that is not a str or a limit below 1."""
        _check_key(self.key)
        if self.limit is not None and (isinstance(self.limit, bool) or not isinstance(self.limit, int)):
            msg = f"Append({self.key!r}): limit is an int or None, not {type(self.limit).__name__}"
            raise TypeError(msg)
        if self.limit is not None and self.limit < 1:
            msg = f"Append({self.key!r}): limit must be at least 1"
            raise ValueError(msg)


@dataclass(frozen=True, repr=False)
class SetLifetimes(Change):
    """Give the session other lifetimes. The absolute one goes on counting from where it started."""

    lifetimes: Lifetimes


@dataclass(frozen=True, repr=False)
class PushFlash(Change):
    """Append to the mailbox of flashes; the oldest falls out when it is full."""

    flash: FlashMessage


@dataclass(frozen=True, repr=False)
class ReplaceFlashes(Change):
    """Put these flashes where all the present ones are."""

    flashes: tuple[FlashMessage, ...]


@dataclass(frozen=True, repr=False)
class DropIfEmpty(Change):
    """End the session if after the changes before it neither data nor flashes nor a principal are left.

    Decided inside the transaction: a key that a parallel request has added keeps the session.
    """


AnyChange = Change
"""What a save takes a sequence of: any of the kinds above. A list of different kinds is a ``list[Change]`` to mypy."""
