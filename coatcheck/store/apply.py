"""Changes applied to a draft. All that can fail for its own sake is done before the writer gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from coatcheck import changes as kinds
from coatcheck.codec import pack, unpack
from coatcheck.errors import ChangeRefused
from coatcheck.flashes import FlashMessage
from coatcheck.store.arguments import check_changes
from coatcheck.store.header import OWN_LIFETIMES, lifetimes_in_microseconds
from coatcheck.store.packed_list import append

if TYPE_CHECKING:
    from coatcheck.store.draft import Draft

Step = Callable[["Draft"], None]
"""A change whose values are packed; to be called inside the transaction."""


def pack_flash(flash: FlashMessage) -> bytes:
    """A flash in its form at rest."""
    if not isinstance(flash, FlashMessage):
        msg = f"a flash is a FlashMessage, not {type(flash).__name__}"
        raise TypeError(msg)
    return pack([flash.level, flash.message, flash.title], "flash")


def prepare(changes: Sequence[kinds.AnyChange], verb: str = "save") -> list[Step]:
    """Pack what the changes carry. Raises UnstorableValue, and TypeError for what is not a change."""
    if type(changes) is not list:
        check_changes(verb, changes)
    steps = []
    for change in changes:
        make = _MAKERS.get(type(change))
        if make is None:
            msg = f"a save takes Set, Unset, Clear, Increment, Append or SetLifetimes, not {type(change).__name__}"
            raise TypeError(msg)
        steps.append(make(change))
    return steps


def _set(change: kinds.Set) -> Step:
    key, packed = change.key, pack(change.value, change.key)

    def step(draft: Draft) -> None:
        draft.put(key, packed)

    return step


def _unset(change: kinds.Unset) -> Step:
    return lambda draft: draft.remove_key(change.key)


def _clear(_: kinds.Clear) -> Step:
    return lambda draft: draft.clear()


def _increment(change: kinds.Increment) -> Step:
    key, by = change.key, change.by

    def step(draft: Draft) -> None:
        packed = draft.get(key)
        have = 0 if packed is None else unpack(packed)
        if isinstance(have, bool) or not isinstance(have, (int, float)):
            msg = f"Increment({key!r}) needs a number there, but finds {type(have).__name__}: use Set first"
            raise ChangeRefused(key, msg)
        try:
            total = have + by
        except OverflowError:
            msg = f"Increment({key!r}): an int too large for a float is there: use Set first"
            raise ChangeRefused(key, msg) from None
        draft.put(key, pack(total, key))

    return step


def _append(change: kinds.Append) -> Step:
    key, limit = change.key, change.limit
    item = pack(change.item, f"{change.key}[]")

    def step(draft: Draft) -> None:
        draft.put(key, append(draft.get(key), item, limit, key))

    return step


def _set_lifetimes(change: kinds.SetLifetimes) -> Step:
    lifetimes = lifetimes_in_microseconds(change.lifetimes)

    def step(draft: Draft) -> None:
        draft.idle, draft.absolute, draft.touch_interval = lifetimes
        draft.flags |= OWN_LIFETIMES

    return step


def _push_flash(change: kinds.PushFlash) -> Step:
    packed = pack_flash(change.flash)
    return lambda draft: draft.push_flashes([packed])


def _replace_flashes(change: kinds.ReplaceFlashes) -> Step:
    packed = [pack_flash(each) for each in change.flashes]
    return lambda draft: draft.replace_flashes(draft.stored(packed))


def _drop_if_empty(_: kinds.DropIfEmpty) -> Step:
    def step(draft: Draft) -> None:
        draft.dropped = not (draft.values or draft.flashes or draft.variable.principal)

    return step


_MAKERS: Final[dict[type, Callable[[Any], Step]]] = {
    kinds.Set: _set,
    kinds.Unset: _unset,
    kinds.Clear: _clear,
    kinds.Increment: _increment,
    kinds.Append: _append,
    kinds.SetLifetimes: _set_lifetimes,
    kinds.PushFlash: _push_flash,
    kinds.ReplaceFlashes: _replace_flashes,
    kinds.DropIfEmpty: _drop_if_empty,
}
