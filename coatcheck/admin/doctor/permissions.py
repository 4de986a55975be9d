"""Whose the files are, and who may read them."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coatcheck.admin.reading.findings import Finding
from coatcheck.errors import CoatcheckError
from coatcheck.keyring import load_or_create
from coatcheck.store.files import DATA, IGNORE, SECRET
from coatcheck.store.restore import REPLACED

_HARMLESS: Final = frozenset({IGNORE})


def findings(home: Path) -> Iterator[Finding]:
    """What is wrong with the files of a state directory. Changes nothing."""
    if not (home / DATA).exists():
        return
    owner = home.stat().st_uid
    if os.geteuid() != owner:
        yield Finding(
            "other-user",
            "warning",
            f"{home} belongs to user {owner}, and this is user {os.geteuid()}: what it makes there others cannot open",
            f"run commands as user {owner}, as by runuser or sudo -u",
        )
    for path in (home, *sorted(home.rglob("*"))):
        yield from _about(path, owner)
    yield from _secret(home / SECRET)
    left = [each.name for each in home.iterdir() if each.name[:1] == "." and each.name not in _HARMLESS]
    if left:
        what = f"somebody was killed while writing {', '.join(sorted(left))}"
        yield Finding("leftovers", "info", what, "they can go once everything is stopped")
    if (home / REPLACED).exists():
        what = f"{REPLACED} is what a restore has replaced: it holds sessions, and takes room"
        yield Finding(
            "replaced-file", "info", what, f"rm {shlex.quote(str(home / REPLACED))}, when nobody wants it back"
        )


def _about(path: Path, owner: int) -> Iterator[Finding]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    name = shlex.quote(str(path))
    if stat.S_ISLNK(status.st_mode):
        yield Finding(
            "link", "critical", f"{path} is a symbolic link, and is not followed", f"put the file there: rm {name}"
        )
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        right = "700" if stat.S_ISDIR(status.st_mode) else "600"
        what = f"{path} is open to other users (mode {mode:04o})"
        yield Finding("open-to-others", "critical", what, f"chmod {right} {name}; see who may have read it")
    if status.st_uid != owner:
        what = f"{path} belongs to user {status.st_uid}, the directory to {owner}: the others cannot open it"
        yield Finding("other-owner", "critical", what, f"chown {owner} {name}")


def _secret(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    try:
        load_or_create(path)
    except CoatcheckError as error:
        yield Finding("secret-unusable", "critical", str(error), "do what it says")
