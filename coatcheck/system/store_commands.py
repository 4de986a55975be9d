"""The commands about the store itself. They need no actor system, and run beside one where that can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.store.files import check_is_store
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.policy import CHANGEABLE
from coatcheck.store.restore import REPLACED, restore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coatcheck.settings import Settings

_SHOWN: Final = 20


def change(settings: Settings, assignments: Sequence[str]) -> int:
    """Change store-wide limits of the store of these settings, and show what is in force now."""
    changed: dict[str, Any] = {}
    for each in assignments:
        name, equals, value = each.partition("=")
        if not equals:
            msg = f"{each!r} is no NAME=VALUE, such as max_session_bytes=131072"
            raise ConfigurationError(msg)
        changed[name] = int(value) if value.isdecimal() else value
    wish = changed.pop("encryption", None)
    if wish is not None:
        _change_encryption(settings, wish)
    if not changed:
        return 0
    store = _store_of(settings, any_keys=True)
    try:
        policy = store.change_policy(**changed)
    finally:
        store.close()
    for name in CHANGEABLE:
        _say(f"{name}={getattr(policy, name)}")
    return 0


def _change_encryption(settings: Settings, wish: object) -> None:
    if wish not in ("on", "off"):
        msg = f"encryption is {wish!r}: use on or off"
        raise ConfigurationError(msg)
    store = _store_of(settings, any_keys=True)
    try:
        changed = turn_encryption(store, on=wish == "on")
        keys = store.stats().encryption
    finally:
        store.close()
    _say(f"encryption={wish}" + (f" (key {keys})" if keys else "") + ("" if changed else ", as it was"))


def turn_encryption(store: LmdbStore, *, on: bool) -> bool:
    """Encrypt a store, or not any more, and leave nothing of before in its file; whether it was otherwise.

    Raises StoreUnavailable where the file could not be written anew: it says so, and the same again is the remedy.
    """
    changed = store.change_encryption(on=on)
    # The pages of before are free, but in the file; also those that another run left there.
    try:
        store.compact()
    except StoreUnavailable as error:
        msg = (
            f"encryption={'on' if on else 'off'} is in force, but the pages of before are still in the data file, as "
            f"it could not be written anew: {error}; then give the same command again"
        )
        raise StoreUnavailable(msg) from error
    return changed


def reseal(settings: Settings, *, end_unreadable: bool) -> bool:
    """Seal everything anew under the newest encryption key, beside whoever uses the store; whether all could be."""
    store = _store_of(settings, any_keys=end_unreadable)
    try:
        report = store.reseal(end_unreadable=end_unreadable)
    finally:
        store.close()
    _say(f"{report.sessions} sessions and {report.events} audit events are sealed anew")
    if end_unreadable:
        _say(f"{report.ended} sessions are ended, which cannot be opened")
    if report.unreadable:
        _say(f"{report.unreadable} sessions and audit events cannot be opened: see 'check'")
    _say(f"keys that are needed from now on: {' '.join(report.keys)}")
    return not report.unreadable


def check(settings: Settings) -> bool:
    """Compare every record with every index, and show what does not fit; whether all does."""
    store = _store_of(settings)
    try:
        report = store.check()
    finally:
        store.close()
    _say(f"{report.sessions} sessions, {report.entries} index entries: {len(report.problems) or 'no'} problems")
    for key in sorted({*report.sealed, *report.sealed_events}):
        _say(f"  under {key}: {report.sealed.get(key, 0)} sessions, {report.sealed_events.get(key, 0)} audit events")
    for problem in report.problems[:_SHOWN]:
        _say(f"  {problem.kind} at {problem.where}: expected {problem.detail}")
    if len(report.problems) > _SHOWN:
        _say(f"  and {len(report.problems) - _SHOWN} more")
    return report.clean


def backup(settings: Settings, target: str) -> int:
    """Write a copy of the store into a new directory; beside whoever uses it."""
    store = _store_of(settings, any_keys=True)
    try:
        store.backup(target)
    finally:
        store.close()
    _say(f"the store in {settings.home} is copied to {Path(target).absolute()}: guard it, it holds the secret")
    return 0


def compact(settings: Settings) -> int:
    """Give the free pages of the store back to the disk, while nobody else has it open."""
    store = _store_of(settings, any_keys=True)
    try:
        before, after = store.compact()
    finally:
        store.close()
    _say(f"{before} bytes before, {after} after")
    return 0


def restore_from(settings: Settings, source: str) -> int:
    """Put a backup in the place of the store, while nobody has it open; the present one may be damaged or missing."""
    done = restore(settings, source)
    _say(f"{settings.home} has the {done.sessions} sessions of {Path(source).absolute()}")
    if done.replaced is not None:
        _say(f"the data file that was there is {done.replaced}: remove {REPLACED} when nobody wants it back")
    if done.secret_taken:
        _say(f"the secret of the backup was added to {settings.home / 'secret'}")
    return 0


def _store_of(settings: Settings, *, any_keys: bool = False) -> LmdbStore:
    """The store. ``any_keys``: for what opens no session, or is about the keys themselves."""
    check_is_store(settings.home)
    # Of the settings only those that say where and who: the others may be what the store is to be changed to.
    store = LmdbStore(settings.of_the_store(), background=False)
    store.any_keys = any_keys
    return store


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the answer
