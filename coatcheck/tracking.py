"""What a session has been asked to change, until it is committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from coatcheck.changes import (
    AnyChange,
    Append,
    Clear,
    DropIfEmpty,
    Increment,
    PushFlash,
    ReplaceFlashes,
    Set,
    SetLifetimes,
    Unset,
)
from coatcheck.codec import is_mutable, pack, unpack
from coatcheck.errors import UnstorableValue

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.record import Record

SET: Final = "set"
UNSET: Final = "unset"

Step = str | list[Increment | Append]
"""What happened to a key last: SET (to the value that the session has when it is committed), UNSET, or what is to be
added to whatever the store has then."""

_peek = dict.__getitem__


@dataclass(frozen=True)
class Login:
    """A login that waits for the commit."""

    principal: str
    meta: Mapping[str, Any] | None
    remembered: bool = False
    """Whether nobody has proved anything just now: the next request would do it again."""


class Pending:
    """The changes of one session since it was loaded or committed."""

    __slots__ = ("cleared", "flashes", "flashes_replaced", "keys", "lifetimes", "logged_out", "login", "rotation")

    def __init__(self) -> None:
        self.keys: dict[str, Step] = {}
        self.cleared = False
        self.flashes: list[FlashMessage] = []
        self.flashes_replaced = False
        self.lifetimes: Lifetimes | None = None
        self.login: Login | None = None
        self.rotation: float | None = None
        self.logged_out: tuple[str, Record] | None = None

    def unset(self, key: str, record: Record | None) -> None:
        """A key was removed."""
        if record is not None and not self.cleared and key in record.data:
            self.keys[key] = UNSET
        else:
            # Never stored as far as this session knows: what was to be stored is not.
            self.keys.pop(key, None)

    def clear(self, record: Record | None) -> None:
        """All keys were removed."""
        self.keys.clear()
        self.cleared = record is not None

    def add(self, key: str, change: Increment | Append) -> None:
        """Something was added to a key; an addition to a value of this session's own is part of that value."""
        step = self.keys.setdefault(key, [])
        if step == UNSET:
            self.keys[key] = SET
        elif isinstance(step, list):
            last = step[-1] if step else None
            if isinstance(last, Increment) and isinstance(change, Increment) and type(last.by) is type(change.by):
                step[-1] = Increment(key, last.by + change.by)
            else:
                step.append(change)

    def forget_data(self) -> None:
        """Nothing has happened to the data."""
        self.keys.clear()
        self.cleared = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (
            self.keys
            or self.cleared
            or self.flashes
            or self.flashes_replaced
            or self.lifetimes
            or self.login
            or self.logged_out
            or self.rotation is not None
        )

    def data_changes(self, values: dict[str, Any], record: Record, handed_out: set[str]) -> list[AnyChange]:
        """The changes of keys, in order. ``handed_out``: keys whose values the application may have changed."""
        changes: list[AnyChange] = [Clear()] if self.cleared else []
        for key, step in self.keys.items():
            if step == UNSET:
                changes.append(Unset(key))
            elif isinstance(step, str) or (
                # Also changed in place: only the value as a whole says what the application wants.
                key in handed_out and not _is_sum(_peek(values, key), self._base(record, key), step)
            ):
                changes.append(Set(key, _peek(values, key)))
            else:
                changes += step
        return changes

    def _base(self, record: Record, key: str) -> bytes | None:
        return None if self.cleared else record.packed(key)

    def flash_changes(self) -> list[AnyChange]:
        """The changes of the mailbox."""
        if self.flashes_replaced:
            return [ReplaceFlashes(tuple(self.flashes))]
        return [PushFlash(flash) for flash in self.flashes]

    def other_changes(self, values: dict[str, Any]) -> list[AnyChange]:
        """The change of the lifetimes, and the end of a session that was emptied; to be applied last."""
        changes: list[AnyChange] = []
        if self.login is not None:
            return changes  # it brings the lifetimes, and somebody whose session it is
        if self.lifetimes is not None:
            changes.append(SetLifetimes(self.lifetimes))
        if not dict.__len__(values) and (self.cleared or UNSET in self.keys.values()):
            changes.append(DropIfEmpty())
        return changes


def changed_in_place(values: dict[str, Any], record: Record, keys: Iterable[str]) -> list[AnyChange]:
    """A Set for each of these keys whose value is not what the record has."""
    return [
        Set(key, value)
        for key in keys
        if dict.__contains__(values, key)
        and is_mutable(value := _peek(values, key))
        and _packed(value) != record.packed(key)
    ]


def _packed(value: object) -> bytes | None:
    try:
        return pack(value)
    except UnstorableValue:
        return None  # the save says what is wrong, with the name of the key


def _is_sum(value: object, packed: bytes | None, steps: list[Increment | Append]) -> bool:
    """Whether a list is what the record has plus what was appended."""
    if not isinstance(value, list):
        return True
    expected = [] if packed is None else unpack(packed)
    for step in steps:
        if isinstance(step, Append):
            expected = keep_newest([*expected, step.item], step.limit)
    return _packed(value) == _packed(expected)


def keep_newest(items: list[Any], limit: int | None) -> list[Any]:
    """The last ``limit`` items, all without a limit."""
    return items if limit is None else items[-limit:]
