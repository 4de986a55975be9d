"""What the processes of these tests do: ``python -m tests.faults.jobs NAME ARGUMENTS...``.

They talk in lines. A line about a write is printed only after the store has confirmed it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coatcheck.changes import AnyChange, Increment, PushFlash, Set
from coatcheck.clock import SystemClock
from coatcheck.errors import CoatcheckError, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.restore import restore


def say(line: str) -> None:
    """One line, written at once and by itself: what was written is in the pipe, whatever happens to this process."""
    os.write(1, line.encode() + b"\n")


def heard() -> str:
    """The next line from the test."""
    return sys.stdin.readline().strip()


def open_store(home: str, *, background: bool = True, **settings: Any) -> LmdbStore:
    """A store as a worker has it."""
    return LmdbStore(Settings.load(home, {}, **settings), background=background)


def save_keys(home: str, token: str, name: str, count: str) -> None:
    """Save ``count`` keys of this process's own, one save each, and count on a shared one."""
    store = open_store(home)
    assert store.load(token) is not None
    say("ready")
    heard()
    for number in range(int(count)):
        store.save(token, [Set(f"{name}-{number}", number), Increment("total")])
    say("done")


def read_on(home: str, token: str) -> None:
    """Read until killed."""
    store = open_store(home)
    say("reading")
    while True:
        store.load(token, touch=False)


def add_flashes(home: str, token: str, name: str, count: str) -> None:
    """Add flashes."""
    store = open_store(home)
    store.load(token)
    say("ready")
    heard()
    for number in range(int(count)):
        store.add_flash(token, FlashMessage.info(f"{name}-{number}"))
    say("done")


def take_flashes(home: str, token: str) -> None:
    """Take flashes until the test says that nobody adds any more; print each that was taken."""
    store = open_store(home)
    store.load(token)
    say("ready")
    heard()
    os.set_blocking(0, False)
    last = False
    while not last:
        last = bool(os.read(0, 10) if _readable() else b"")
        for each in store.take_flashes(token)[1]:
            say(each.message)


def _readable() -> bool:
    import select

    return bool(select.select([0], [], [], 0)[0])


def storm(home: str, tokens: str, name: str) -> None:
    """Write all kinds of things for ever; print each after it was confirmed.

    ``save S N``: the key ``name`` of shared session S is N; ``created T``; ``deleted T``; ``flash S N``.
    """
    store = open_store(home)
    shared = json.loads(tokens)
    dice = random.Random(name)
    counts = [0] * len(shared)
    flashes = 0
    mine: list[str] = []
    say("ready")
    while True:
        choice = dice.random()
        number = dice.randrange(len(shared))
        if choice < 0.6:
            counts[number] += 1
            changes: list[AnyChange] = [Set(name, counts[number]), Increment("total")]
            if choice < 0.2:
                changes.append(Set("blob", os.urandom(dice.randrange(20_000))))
            store.save(shared[number], changes)
            say(f"save {number} {counts[number]}")
        elif choice < 0.7:
            flashes += 1
            store.save(shared[0], [PushFlash(FlashMessage.info(f"{name} {flashes}"))])
            say(f"flash 0 {flashes}")
        elif choice < 0.9 or not mine:
            token, _ = store.create({"by": name, "pad": "x" * dice.randrange(6_000)}, principal=f"user-{number}")
            mine.append(token)
            say(f"created {token}")
        else:
            # Taken out before it is known whether the delete happened: neither answer would be a lost write.
            token = mine.pop(dice.randrange(len(mine)))
            say(f"deleting {token}")
            assert store.delete(token)
            say(f"deleted {token}")


class _Pausing(SystemClock):
    """A clock that is asked inside the write transaction, and lets the test know."""

    def __init__(self) -> None:
        self.armed = False

    def now(self) -> int:  # type: ignore[override]
        if self.armed:
            self.armed = False
            say("inside")
            heard()
        return SystemClock.now()


def pause_inside(home: str, token: str, key: str) -> None:
    """Begin a save, say so inside its transaction, and end it when told to."""
    clock = _Pausing()
    store = LmdbStore(Settings(home=Path(home)), clock=clock)
    assert store.load(token) is not None
    say("ready")
    heard()
    clock.armed = True
    store.save(token, [Set(key, "after the pause")])
    say("saved")
    heard()


def see(home: str, token: str) -> None:
    """Print the data of a session, or why there is none, each time the test asks."""
    store = open_store(home)
    while heard():
        found = store.find(token)
        say(found.reason or json.dumps(found.record and found.record.values()))


def open_and_say(home: str, settings: str) -> None:
    """Open a store with these settings, and print the kind and the text of the error, or ``open``."""
    try:
        store = open_store(home, **json.loads(settings))
        store.create({"a": 1})
    except CoatcheckError as error:
        say(json.dumps([type(error).__name__, str(error)]))
    else:
        say(json.dumps(["open", ""]))


def late_save(home: str, token: str) -> None:
    """A slow request: load, wait, save."""
    store = open_store(home)
    assert store.load(token) is not None
    say("ready")
    heard()
    try:
        store.save(token, [Set("late", 1)])
    except SessionMissing as missing:
        say(missing.reason)
    else:
        say("saved")


def hold_duty(home: str) -> None:
    """Try to take the duty, say whether it worked, and keep it."""
    store = open_store(home, background=False)
    say(str(store.upkeep.acquire()))
    heard()


def hold_read(home: str, token: str) -> None:
    """Stand still inside a read transaction."""
    store = open_store(home, background=False)
    store.find(token)
    with store._read():
        say("reading")
        heard()
    store.close()


def pin_and_die_inside(home: str) -> None:
    """Pin a sync point, and be killed inside of a write transaction when told to."""
    store = open_store(home, background=False)
    store.create({"pad": "x" * 3000})
    store.sync()
    say("pinned")
    heard()
    with store._write():
        os.kill(os.getpid(), signal.SIGKILL)


def sync_when_told(home: str, token: str) -> None:
    """Save and sync each time the test asks, having the duty."""
    store = open_store(home, background=False)
    store.upkeep.acquire()
    store.load(token)
    say("open")
    while heard():
        store.save(token, [Increment("n")])
        store.sync()
        say("synced")


class _TimeLimit(Exception):
    """What the signal handler raises."""


def _raise(*_: object) -> None:
    raise _TimeLimit


def interrupted(home: str, token: str, count: str) -> None:
    """Be interrupted in the middle of verbs by a signal handler that raises, and go on; fork at the end."""
    store = open_store(home, background=False, gate_timeout=2)
    signal.signal(signal.SIGALRM, _raise)
    dice = random.Random(1)
    confirmed = interrupts = 0
    errors: list[str] = []
    while interrupts < int(count) and not errors:
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(5e-5, 4e-4))
            while True:
                store.save(token, [Increment("n")])
                confirmed += 1
                store.load(token)
        except _TimeLimit:
            interrupts += 1
        except CoatcheckError as error:
            errors.append(str(error))
        signal.setitimer(signal.ITIMER_REAL, 0)
        if interrupts % 10 == 0:
            store.save(token, [Increment("n")])
            confirmed += 1
    store.save(token, [Increment("n")])
    say(json.dumps({"confirmed": confirmed + 1, "interrupted": interrupts, "errors": errors}))
    heard()
    # A fork waits for all transactions of the process; one that an interrupt left open would be waited for in vain.
    pid = os.fork()
    if not pid:
        os._exit(0 if store.load(token) else 1)
    say("forked" if os.waitpid(pid, 0)[1] == 0 else "failed")


def restore_over_and_over(home: str, *backups: str) -> None:
    """Restore one backup after the other until killed; say each that is in place."""
    say("ready")
    while True:
        for number, backup in enumerate(backups):
            restore(Settings.load(home, {}), backup)
            say(str(number))


def encrypt_and_decrypt(home: str, key: str) -> None:
    """Encrypt a store and decrypt it, over and over, until killed; say each that is done."""
    store = open_store(home, background=False, encryption_keys=[key])
    store.any_keys = True
    encrypted = bool(store.stats().encryption)
    say("ready")
    while True:
        encrypted = not encrypted
        store.change_encryption(on=encrypted)
        say("on" if encrypted else "off")


JOBS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        save_keys,
        add_flashes,
        take_flashes,
        storm,
        pause_inside,
        see,
        open_and_say,
        late_save,
        hold_duty,
        hold_read,
        interrupted,
        pin_and_die_inside,
        sync_when_told,
        read_on,
        restore_over_and_over,
        encrypt_and_decrypt,
    )
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
