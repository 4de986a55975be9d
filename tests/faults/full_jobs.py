"""What the processes of the full-disk tests do: ``python -m tests.faults.full_jobs NAME ARGUMENTS...``."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from coatcheck.changes import Set
from coatcheck.errors import CoatcheckError, StoreFull
from coatcheck.store.lmdb import LmdbStore
from tests.faults.jobs import open_store, say

MIB = 1 << 20


def _fill(store: LmdbStore, size: int = 20_000, most: int = 10_000) -> tuple[list[str], str]:
    """Create sessions until the store says that it is full: the tokens confirmed, and what it said."""
    tokens: list[str] = []
    while len(tokens) < most:
        try:
            tokens.append(store.create({"number": len(tokens), "blob": b"x" * size}, principal="ann")[0])
        except StoreFull as error:
            return tokens, str(error)
    return tokens, ""


def _lost(store: LmdbStore, tokens: list[str], first: int = 0) -> list[int]:
    """Which confirmed sessions are not as they were, from the one with that number on."""
    records = [(number, store.load(token)) for number, token in enumerate(tokens)][first:]
    return [number for number, record in records if record is None or record.data["number"] != number]


def file_limit(home: str) -> None:
    """No file may grow beyond a limit: every write that needs a new page fails in the kernel."""
    store = open_store(home, background=False)
    first, _ = store.create({"number": 0})
    size = Path(home, "data.mdb").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + MIB, hard))
    tokens, text = _fill(store)
    refused = []
    for verb in (
        lambda: store.create({"blob": b"x" * 50_000}),
        lambda: store.save(first, [Set("blob", b"x" * 50_000)]),
    ):
        try:
            verb()
            refused.append("no error")
        except CoatcheckError as error:
            refused.append(type(error).__name__)
    lost = _lost(store, tokens)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = store.create({"blob": b"x" * 50_000})[1].version
    say(
        json.dumps(
            {
                "confirmed": len(tokens),
                "text": text,
                "refused": refused,
                "lost": lost,
                "after": after,
                "check": [str(each) for each in store.check().problems],
            }
        )
    )


def small_disk(home: str, filler: str, ballast: str) -> None:
    """On a small file system: until it refuses, then with not one byte left, then with room again."""
    Path(ballast).write_bytes(b"x" * 10 * MIB)
    store = open_store(home, background=False)
    tokens, text = _fill(store)
    answers: dict[str, object] = {"confirmed": len(tokens), "text": text, "lost": _lost(store, tokens)}
    with Path(filler).open("wb", buffering=0) as file:
        block = b"x" * MIB
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
    status = os.statvfs(home)
    answers["free"] = status.f_bavail * status.f_frsize
    ended, errors = 0, []
    answers["half"] = len(tokens) // 2
    for token in tokens[: len(tokens) // 2]:
        try:
            ended += store.delete(token)
        except CoatcheckError as error:
            errors.append(type(error).__name__)
    try:
        store.create({"blob": b"x" * 20_000})
        answers["create"] = "no error"
    except CoatcheckError as error:
        answers["create"] = type(error).__name__
    answers["ended"], answers["errors"] = ended, sorted(set(errors))
    answers["kept"] = _lost(store, tokens, len(tokens) // 2)
    for each in (filler, ballast):
        Path(each).unlink()
    for token in tokens[: len(tokens) // 2]:
        store.delete(token)
    answers["left"] = store.stats().sessions
    answers["check"] = [str(each) for each in store.check().problems]
    store.create({"room": "again"})
    say(json.dumps(answers))


def full_from_the_start(home: str) -> None:
    """Open a store for the first time on a disk that may be full, and say what became of it."""
    try:
        store = open_store(home, background=False)
        store.create({"a": 1})
        say("open")
    except CoatcheckError as error:
        say(json.dumps([type(error).__name__, str(error)]))


JOBS: dict[str, Callable[..., None]] = {each.__name__: each for each in (file_limit, small_disk, full_from_the_start)}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
