"""The folder of counters: sums that never go back, whoever is killed at whatever moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.metering import board, read

COUNTS_AND_WAITS = """
import sys
from pathlib import Path
from coatcheck.metering.board import Sheet

sheet = Sheet(Path(sys.argv[1]))
sheet.write({"load": 3, "save": 1})
sheet.write({"load": 5, "save": 1})
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A state directory without a store."""
    return tmp_path


def counting(directory: Path) -> subprocess.Popen[str]:
    """Start a process that has counted, and lives until it is killed or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTS_AND_WAITS, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def test_nobody_has_counted(directory: Path) -> None:
    """Reading needs nothing to be there, and makes nothing."""
    assert read(directory) == board.Tally()
    assert board.add_up(directory) == 0
    assert list(directory.iterdir()) == []


def test_killed_processes_count_on(directory: Path) -> None:
    """What a process has written down is in the sum when it lives, when it was killed, and when it was added up."""
    processes = [counting(directory) for _ in range(3)]

    lives = read(directory)
    processes[0].send_signal(signal.SIGKILL)
    processes[0].communicate()
    killed = read(directory)
    moved = board.add_up(directory)
    added = read(directory)
    for process in processes[1:]:
        process.communicate("")
    ended = read(directory)

    assert [each.counts for each in (lives, killed, added, ended)] == [{"load": 15, "save": 3}] * 4
    assert {each.pid for each in lives.processes} == {each.pid for each in processes}
    assert {each.pid for each in killed.processes} == {each.pid for each in processes[1:]}
    assert (moved, len(added.processes), ended.processes) == (1, 2, ())


def test_killed_between_the_total_and_the_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who adds up may be killed after the total was written and before the file is gone: it counts once."""
    counting(directory).communicate("")

    def killed(path: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            board.add_up(directory)
    left = read(directory)
    counting(directory).communicate("")
    board.add_up(directory)

    assert left.counts == {"load": 5, "save": 1}
    assert read(directory).counts == {"load": 10, "save": 2}
    assert not [each for each in (directory / board.FOLDER).iterdir() if each.name[0].isdigit()]


def test_killed_before_the_total_is_there(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who adds up may be killed before the new total has its name: nothing has happened."""
    counting(directory).communicate("")
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if target.name == "total":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            board.add_up(directory)

    assert read(directory).counts == {"load": 5, "save": 1}
    assert board.add_up(directory) == 1
    assert read(directory).counts == {"load": 5, "save": 1}


def test_killed_in_the_middle_of_a_write(directory: Path) -> None:
    """A file whose newest half is not whole has the numbers of before."""
    counting(directory).communicate("")
    [sheet] = [each for each in (directory / board.FOLDER).iterdir() if each.name[0].isdigit()]
    content = bytearray(sheet.read_bytes())
    content[20] ^= 0xFF  # the second write is in the first half
    sheet.write_bytes(content)

    assert read(directory).counts == {"load": 3, "save": 1}


def test_added_up_between_two_looks(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the files are added up while they are read, they are read again: nothing is missing, nothing double."""
    counting(directory).communicate("")
    sheets, meanwhile = board._sheets, [True]

    def overtaken(folder: Path) -> list[Path]:
        if meanwhile:
            meanwhile.clear()
            board.add_up(directory)
        return sheets(folder)

    monkeypatch.setattr(board, "_sheets", overtaken)

    assert read(directory).counts == {"load": 5, "save": 1}


def test_a_damaged_total_begins_again(directory: Path) -> None:
    """What a power loss has left of the total keeps nobody from counting."""
    counting(directory).communicate("")
    board.add_up(directory)
    (directory / board.FOLDER / "total").write_text('{"number": 1, "coun')

    assert read(directory).counts == {}
    counting(directory).communicate("")
    board.add_up(directory)
    assert read(directory).counts == {"load": 5, "save": 1}


def test_for_its_owner_only(directory: Path) -> None:
    """Other users read nothing."""
    counting(directory).communicate("")
    board.add_up(directory)
    counting(directory).communicate("")
    folder = directory / board.FOLDER

    assert folder.stat().st_mode & 0o077 == 0
    assert [each.name for each in folder.iterdir() if each.stat().st_mode & 0o077] == []


def test_what_was_begun_is_removed(directory: Path) -> None:
    """Who is killed while it makes its file leaves nothing behind for good."""
    counting(directory).communicate("")
    begun = directory / board.FOLDER / f".{os.getpid()}-0123abcd"
    begun.write_bytes(b"")

    board.add_up(directory)

    assert not begun.exists()
