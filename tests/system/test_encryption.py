"""An encrypted store behind the actor system, and the commands about encryption."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import coatcheck
from coatcheck.errors import ConfigurationError
from coatcheck.flashes import FlashMessage
from coatcheck.settings import Settings
from coatcheck.store import backup
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system.command import IN_USE, MISCONFIGURED, UNSOUND, main
from tests.store.test_encryption import MARKER, key_id, readable_in
from tests.support.keys import NEW, OLD
from tests.support.processes import Job
from tests.system.running import RunningSystem


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A file with one key."""
    path = tmp_path / "encryption-keys"
    path.write_text(f"{NEW}\n")
    path.chmod(0o600)
    return path


def test_only_the_manager_has_the_keys(home: Path, keys_file: Path) -> None:
    """Workers on the actor lane have all they need without them, nothing they keep can be read in a file or a log."""
    with RunningSystem(home, "--log-level", "DEBUG", COATCHECK_ENCRYPTION_KEYS_FILE=str(keys_file)) as system:
        client = coatcheck.connect(home, lane="actor")
        session = client.open(None)
        session[f"{MARKER}-cart"] = {"items": [f"{MARKER}-item"]}
        session.flash(f"{MARKER}-flash")
        session.login(f"{MARKER}-ann", meta={"label": f"{MARKER}-label"})
        token = session.commit()
        assert token is not None
        session = client.open(token)
        session[f"{MARKER}-cart"]["items"].append(f"{MARKER}-more")
        session.increment("hits")
        session.commit()
        client.add_flash(token, FlashMessage.info(f"{MARKER}-second"))
        take, flashes = client.take_flashes(token)
        assert [each.message for each in flashes] == [f"{MARKER}-flash", f"{MARKER}-second"]
        assert client.restore_flashes(token, take) == 2
        record = client.load(token)
        assert record is not None
        assert record.values() == {f"{MARKER}-cart": {"items": [f"{MARKER}-item", f"{MARKER}-more"]}, "hits": 1}
        assert (record.principal, record.meta["label"]) == (f"{MARKER}-ann", f"{MARKER}-label")
        assert [each.principal for each in client.sessions_of(f"{MARKER}-ann")] == [f"{MARKER}-ann"]

        # Who only reads nested data changes nothing: what is compared is what it was before it was sealed.
        session = client.open(token)
        assert session[f"{MARKER}-cart"]["items"]
        session.commit()
        assert client.load(token, touch=False).version == record.version  # type: ignore[union-attr]

        report = client.store.check()
        assert report.clean
        assert report.sealed == {key_id(NEW): 1}
        with pytest.raises(ConfigurationError, match=f"is encrypted.*{key_id(NEW)}"):
            coatcheck.connect(home).load(token)
        client.store.sync()
        assert MARKER not in system.log
        client.close()

    assert readable_in(home) == set()
    assert readable_in(home.parent) == set()


def test_the_system_says_what_is_missing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It does not start without the keys of its store: a restart would not help, and the exit code says so."""
    store = LmdbStore(Settings(home=home, encryption_keys=[NEW]), background=False)
    store.prepare()

    assert main(["serve", "--home", str(home)]) == MISCONFIGURED

    assert "COATCHECK_ENCRYPTION_KEYS" in capfd.readouterr().err


# Commands ------------------------------------------------------------------------------------------------------


def filled(home: Path, *keys: str) -> str:
    """The token of a session in a store under these keys."""
    store = LmdbStore(Settings(home=home, encryption_keys=keys or None), background=False)
    token, _ = store.create({f"{MARKER}-key": f"{MARKER}-value"}, principal=f"{MARKER}-ann")
    store.sync()
    store.close()
    return token


def test_encrypt_and_decrypt(
    home: Path, keys_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``change encryption=on`` leaves nothing behind that can be read; off takes it back; both may be repeated."""
    token = filled(home)
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS_FILE", str(keys_file))
    assert readable_in(home)

    for said in (f"encryption=on (key {key_id(NEW)})\n", f"encryption=on (key {key_id(NEW)}), as it was\n"):
        assert main(["change", "--home", str(home), "encryption=on"]) == 0
        assert capsys.readouterr().out == said
        assert readable_in(home) == set()

    with coatcheck.connect(home) as client:
        assert client.load(token) is not None
    assert main(["change", "--home", str(home), "encryption=off", "max_flashes=7"]) == 0
    assert capsys.readouterr().out.startswith("encryption=off\n")
    monkeypatch.delenv("COATCHECK_ENCRYPTION_KEYS_FILE")
    with coatcheck.connect(home, max_flashes=7) as client:
        assert client.load(token).principal == f"{MARKER}-ann"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("assignment", "why"), [("encryption=on", "there is no key to encrypt with"), ("encryption=yes", "use on or off")]
)
def test_a_change_that_cannot_be(home: Path, assignment: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said, and nothing is changed."""
    token = filled(home)

    assert main(["change", "--home", str(home), assignment]) == MISCONFIGURED

    assert why in capsys.readouterr().err
    with coatcheck.connect(home) as client:
        assert client.load(token) is not None


def test_what_opens_no_session_needs_no_keys(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes the backups need not be able to read them; a check reads everything."""
    filled(home, NEW)

    assert main(["change", "--home", str(home), "max_flashes=7"]) == 0
    assert main(["compact", "--home", str(home)]) == 0
    assert main(["backup", "--home", str(home), str(tmp_path / "copy")]) == 0
    assert main(["check", "--home", str(home)]) == MISCONFIGURED
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", NEW)
    assert main(["check", "--home", str(home)]) == 0
    assert main(["check", "--home", str(tmp_path / "copy")]) == 0


def test_in_use(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody who has it open would go on to write what can be read: the command names that process."""
    monkeypatch.setattr("coatcheck.store.resealing.ALONE_WITHIN", 0.3)
    token = filled(home)
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", NEW)
    with Job("see", home, token) as job:
        job.say("look")
        job.line()

        assert main(["change", "--home", str(home), "encryption=on"]) == IN_USE

        assert str(job.pid) in capsys.readouterr().err


def test_reseal_and_check(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Check counts what is under each key, reseal brings all under the newest and says which are needed."""
    filled(home, OLD)
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", f"{NEW},{OLD}")

    assert main(["check", "--home", str(home)]) == 0
    assert f"under {key_id(OLD)}: 1 sessions, 1 audit events\n" in capsys.readouterr().out
    assert main(["reseal", "--home", str(home)]) == 0

    assert capsys.readouterr().out == (
        f"1 sessions and 1 audit events are sealed anew\nkeys that are needed from now on: {key_id(NEW)}\n"
    )
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", NEW)
    assert main(["check", "--home", str(home)]) == 0


def test_a_lost_key(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The store is refused until it is said that what is under the lost key may end."""
    token = filled(home, OLD)
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", NEW)
    assert main(["reseal", "--home", str(home)]) == MISCONFIGURED
    assert "--end-unreadable" in capsys.readouterr().err

    assert main(["reseal", "--home", str(home), "--end-unreadable"]) == 0

    assert "1 sessions are ended, which cannot be opened\n" in capsys.readouterr().out
    with coatcheck.connect(home) as client:
        assert client.find(token).reason == "revoked"


def test_what_was_changed_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something cannot be opened although its key is there, the exit code says so."""
    filled(home, OLD)
    store = LmdbStore(Settings(home=home, encryption_keys=[OLD]), background=False)
    environment = store.environment
    transaction = environment.begin_write(1.0)
    with transaction.cursor(db=environment.tables.sessions) as cursor:
        assert cursor.first()
        sid, row = cursor.key(), cursor.value()
    transaction.put(sid, row[:-1] + bytes([row[-1] ^ 1]), db=environment.tables.sessions)
    environment.end_write(transaction, commit=True)
    store.close()
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", f"{NEW},{OLD}")

    assert main(["reseal", "--home", str(home)]) == UNSOUND
    assert main(["check", "--home", str(home)]) == UNSOUND


def test_its_option_goes_with_reseal() -> None:
    """Elsewhere it is a mistake."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "--end-unreadable"])

    assert caught.value.code == 2


def test_no_room_for_the_file_without_the_pages_of_before(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store is encrypted, and whoever reads that the command failed has to know so; given again it is finished."""
    store = LmdbStore(Settings(home=home), background=False)
    store.create({MARKER: MARKER})
    store.close()
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEYS", NEW)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 << 20))
        patched.setattr(backup, "_SPARE", 64 << 20)

        assert main(["change", "--home", str(home), "encryption=on"]) == IN_USE

    said = capsys.readouterr().err
    assert "encryption=on is in force" in said
    assert "needs 65 MiB of free disk" in said
    assert "there are 20" in said
    assert "give the same command again" in said
    assert main(["change", "--home", str(home), "encryption=on"]) == 0
    assert not readable_in(home)
