"""A data file that cannot be read: the error names it, says what to do, and leaves it alone."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError, CorruptRecord
from tests.support.opening import refusal
from tests.support.processes import ROOT


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def _text(path: Path) -> None:
    path.write_text("#!/bin/sh\necho this is no data file\n" * 500)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _one_page(path: Path) -> None:
    os.truncate(path, 4096)


def _cut_in_a_page(path: Path) -> None:
    os.truncate(path, 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _gone(path: Path) -> None:
    path.unlink()


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _other_lmdb_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in (0, 4096):
        struct.pack_into("<I", data, page + 20, 7)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [_garbage, _text, _truncated, _one_page, _cut_in_a_page, _empty, _gone, _zeros, _other_lmdb_version]
)
def test_a_broken_data_file(filled: Path, damage: Callable[[Path], None]) -> None:
    """Whatever became of the data file, it is named, with what to do, and it is left as it is."""
    path = filled / "data.mdb"
    damage(path)
    before = path.read_bytes() if path.exists() else None

    text = refusal(filled)

    assert str(path) in text
    assert "restore a backup" in text
    assert (path.read_bytes() if path.exists() else None) == before


def test_damage_inside_the_data_file(filled: Path) -> None:
    """Pages overwritten behind the first two are an error or a finding of check, and never end the process."""
    code = f"""
import json
from coatcheck.errors import CoatcheckError
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
try:
    store = LmdbStore(Settings(home={str(filled)!r}), background=False)
    report = store.check()
    print(json.dumps(["checked", len(report.problems)]))
except CoatcheckError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    data = bytearray((filled / "data.mdb").read_bytes())
    for start in range(4096 * 2, len(data), 4096 * 3):
        data[start : start + 2000] = os.urandom(2000)
    (filled / "data.mdb").write_bytes(data)

    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stderr
    kind, detail = json.loads(answer.stdout)
    if kind == "checked":
        assert detail > 0
    else:
        assert kind in {CorruptRecord.__name__, ConfigurationError.__name__}
        assert str(filled) in detail
        assert "restore a backup" in detail


def test_the_data_file_of_another_application(tmp_path: Path, home: Path) -> None:
    """An LMDB file in which somebody else keeps something is refused and left alone."""
    home.mkdir(mode=0o700)
    code = """
import lmdb, os, sys
environment = lmdb.open(sys.argv[1], max_dbs=4, mode=0o600)
with environment.begin(write=True) as transaction:
    transaction.put(b"theirs", b"x")
    transaction.put(b"a", b"b", db=environment.open_db(b"their-table", txn=transaction))
"""
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    before = (home / "data.mdb").read_bytes()

    text = refusal(home)

    assert str(home / "data.mdb") in text
    assert (home / "data.mdb").read_bytes() == before


def set_meta(home: Path, key: bytes, value: bytes) -> None:
    """Write into the table that all openers read, behind the store's back."""
    code = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], max_dbs=16, map_size=1 << 30)
with environment.begin(write=True) as transaction:
    meta = environment.open_db(b"meta", txn=transaction)
    transaction.put(bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]), db=meta)
"""
    subprocess.run([sys.executable, "-c", code, str(home), key.hex(), value.hex()], check=True)


def test_the_store_of_another_format(filled: Path) -> None:
    """A store that a later coatcheck has written is refused with both format numbers and the remedy."""
    set_meta(filled, b"format", b"7")

    text = refusal(filled)

    assert str(filled) in text
    assert re.search(r"format 7\b.*format 1\b", text)
    assert "use the coatcheck that wrote it" in text
