"""The file of secrets: made once, read only when nobody else can."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck import secret_file
from coatcheck.errors import ConfigurationError
from coatcheck.keyring import load_or_create

ONE, TWO = "n" * 43, "o" * 43


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a secret file is to be."""
    return tmp_path / "state" / "secret"


@pytest.fixture(autouse=True)
def directory(path: Path) -> Path:
    """Its directory."""
    path.parent.mkdir(mode=0o700)
    return path.parent


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets the umask of the process for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def write(path: Path, text: str = ONE, mode: int = 0o600) -> None:
    """A secret file as somebody made it."""
    path.write_text(text)
    path.chmod(mode)


def refusal_of(path: Path) -> str:
    """What is said when the file is refused; never anything of the secrets."""
    with pytest.raises(ConfigurationError) as caught:
        load_or_create(path)
    text = str(caught.value)
    assert str(path) in text
    assert "nnn" not in text
    assert "ooo" not in text
    return text


def repair(text: str, command: str) -> None:
    """Do what a refusal says, which must contain this command."""
    assert command in text
    subprocess.run(["/bin/sh", "-c", text[text.index(command) :]], check=True)


def test_a_missing_file_is_made(path: Path, directory: Path) -> None:
    """The first start makes one strong secret; every later one has the same; nothing else is left there."""
    first = load_or_create(path)

    assert load_or_create(path).fingerprints() == first.fingerprints()
    assert len(first) == 1
    assert len(path.read_text().strip()) == 43
    assert list(directory.iterdir()) == [path]


def test_two_directories_have_different_secrets(path: Path) -> None:
    """Each secret file is made anew."""
    other = path.with_name("other")

    assert load_or_create(path).fingerprints() != load_or_create(other).fingerprints()


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_the_umask_is_not_trusted(mask: int, path: Path, umask: Callable[[int], int]) -> None:
    """Whatever the umask, the file can be read and written by its owner and by nobody else, from its first moment."""
    modes = []
    umask(mask)
    real = os.open

    def watched(name: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = real(name, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077 if flags & os.O_CREAT else 0)
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", watched)
        load_or_create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(modes) == {0}


def _fingerprints_when_all_are_ready(path: Path, barrier: Any, found: Any) -> None:
    barrier.wait(30)
    found.put(load_or_create(path).fingerprints())


def test_processes_that_start_together_agree(path: Path, directory: Path) -> None:
    """Of many processes that find no file at the same moment, all end up with the same secret."""
    fork = multiprocessing.get_context("fork")
    barrier, found = fork.Barrier(8), fork.Queue()
    workers = [fork.Process(target=_fingerprints_when_all_are_ready, args=(path, barrier, found)) for _ in range(8)]
    for worker in workers:
        worker.start()
    seen = [found.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()

    assert seen == [load_or_create(path).fingerprints()] * 8
    assert list(directory.iterdir()) == [path]


def test_the_loser_of_the_race_takes_the_winners_secret(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file appears while one is being made, the one that appeared is used and kept."""
    real = os.link

    def beaten(source: Any, target: Any) -> None:
        write(path, TWO)
        real(source, target)

    monkeypatch.setattr(os, "link", beaten)
    found = load_or_create(path)
    monkeypatch.undo()

    assert path.read_text() == TWO
    assert found.fingerprints() == load_or_create(path).fingerprints()


def test_the_secret_is_on_disk_before_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before it gets its name and the directory after: power loss leaves a whole file or none."""
    steps = []
    sync, link = os.fsync, os.link

    def watched_sync(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def watched_link(source: Any, target: Any) -> None:
        steps.append("name")
        assert len(Path(source).read_text().strip()) == 43
        link(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "link", watched_link)
    load_or_create(path)

    assert steps == ["file", "name", "directory"]


def test_a_failure_leaves_nothing_behind(path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot get its name, as on a file system without hard links, no secret is left lying about."""

    def refused(source: Any, target: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)

    assert "hard links" in refusal_of(path)
    assert not list(directory.iterdir())


def test_lines_are_roots_newest_first(path: Path) -> None:
    """One root a line, the newest first; comments, empty lines, a byte order mark and Windows line ends are fine."""
    write(path, f"\ufeff# made in 2026\r\n\r\n  {ONE}  \r\n# the one before\r\n{TWO}\r\n")
    both = load_or_create(path).fingerprints()
    write(path, ONE)
    newest = load_or_create(path).fingerprints()

    assert len(both) == 2
    assert both[:1] == newest


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_open_is_refused(mode: int, path: Path) -> None:
    """Any right of group or others is refused, and the command that is told repairs it."""
    write(path, mode=mode)

    repair(refusal_of(path), "chmod 600")
    assert len(load_or_create(path)) == 1


def test_somebody_elses_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another user owns, and can change, is refused, and both users are named."""
    write(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)

    text = refusal_of(path)

    assert f"belongs to user {path.stat().st_uid}" in text
    assert f"chown {path.stat().st_uid + 1} {path}" in text


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_refused(exists: bool, path: Path, tmp_path: Path) -> None:
    """A link is neither followed nor written through; the command that is told puts the file in its place."""
    target = tmp_path / "elsewhere's secret"
    if exists:
        write(target)
    path.symlink_to(target)

    text = refusal_of(path)

    assert "symbolic link" in text
    assert target.exists() == exists
    if exists:
        repair(text, "mv ")
        assert len(load_or_create(path)) == 1


@pytest.mark.parametrize("text", ["", "\n \n", "# only a comment\n", "\ufeff"])
def test_an_empty_file_is_refused(text: str, path: Path) -> None:
    """A file without a secret is not filled: the sessions under the lost one would end unnoticed."""
    write(path, text)

    repair(refusal_of(path), "rm ")
    assert len(load_or_create(path)) == 1


@pytest.mark.parametrize(
    ("text", "said"), [(f"{ONE}\nooo\n", "secret 2 has 3 bytes"), (f"{ONE}\n{ONE}", "same secret twice")]
)
def test_a_bad_root_is_told_with_its_file(text: str, said: str, path: Path) -> None:
    """What is wrong with a root in the file is told with the file's path."""
    write(path, text)

    assert said in refusal_of(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_no_file_is_refused(make: Callable[[Path], None], path: Path) -> None:
    """A directory or a pipe in the file's place is refused at once, and the command that is told removes it."""
    make(path)

    repair(refusal_of(path), "rm -r ")
    assert len(load_or_create(path)) == 1


def test_a_missing_directory_is_told(path: Path, directory: Path) -> None:
    """The file is made in its directory, not the directory; the command that is told makes it, for its owner only."""
    directory.rmdir()

    repair(refusal_of(path), "mkdir ")
    assert len(load_or_create(path)) == 1
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_file_that_vanishes_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is removed as fast as it is made is an error, not an endless loop."""
    monkeypatch.setattr(secret_file, "_create", lambda path: None)

    assert "vanished" in refusal_of(path)
