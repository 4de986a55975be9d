"""Sealing: what a piece hides, what it is bound to, and what is said about keys that cannot be."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck import sealing as room
from coatcheck.client import connect
from coatcheck.errors import ConfigurationError, CorruptRecord, EncryptionKeyMissing
from coatcheck.keyring import Keyring
from coatcheck.sealing import FLASH, META, OVERHEAD, Sealing, sealing_of, value_place
from coatcheck.settings import Settings
from tests.support.keys import NEW, OLD

SID = bytes(range(16))
PLAIN = b"what only the owner may read"


def sealing(*keys: str) -> Sealing:
    """Those keys."""
    made = sealing_of(Settings(encryption_keys=keys))
    assert made is not None
    return made


def test_what_is_sealed_is_opened_again() -> None:
    """A piece holds what was sealed, in a form that shows nothing of it and is as much longer as is documented."""
    seal = sealing(NEW).session(SID)

    piece = seal.seal(META, PLAIN)

    assert seal.open(META, piece) == PLAIN
    assert PLAIN not in piece
    assert len(piece) == len(PLAIN) + OVERHEAD


def test_no_two_pieces_are_the_same() -> None:
    """The same value sealed twice looks different: nobody sees that two values are equal, or that one came back."""
    seal = sealing(NEW).session(SID)

    pieces = {seal.seal(META, PLAIN)[4:] for _ in range(1000)}

    assert len(pieces) == len({each[:12] for each in pieces}) == 1000


def test_every_byte_counts() -> None:
    """A piece of which any bit was changed, or that was cut, does not open."""
    seal = sealing(NEW).session(SID)
    piece = seal.seal(META, PLAIN)

    for place in range(len(piece)):
        for bit in (1, 128):
            spoilt = piece[:place] + bytes([piece[place] ^ bit]) + piece[place + 1 :]
            with pytest.raises((CorruptRecord, EncryptionKeyMissing)):
                seal.open(META, spoilt)
    for length in range(len(piece)):
        with pytest.raises(CorruptRecord):
            seal.open(META, piece[:length])


def test_a_piece_is_bound_to_its_place_and_session() -> None:
    """Where another kind of piece, another key's value or another session is expected, it does not open."""
    keys = sealing(NEW)
    piece = keys.session(SID).seal(value_place("role"), PLAIN)

    with pytest.raises(CorruptRecord):
        keys.session(SID).open(value_place("name"), piece)
    with pytest.raises(CorruptRecord):
        keys.session(SID).open(FLASH, piece)
    with pytest.raises(CorruptRecord):
        keys.session(SID[::-1]).open(value_place("role"), piece)


def test_each_key_opens_its_own() -> None:
    """Under a list of keys the newest seals, and all open; a key that is not there is named by its id."""
    old, both = sealing(OLD), sealing(NEW, OLD)
    piece = old.session(SID).seal(META, PLAIN)

    assert both.session(SID).open(META, piece) == PLAIN
    assert not both.session(SID).is_current(piece)
    assert both.session(SID).is_current(both.session(SID).renewed(META, piece))
    assert both.ids == [sealing(NEW).newest, old.newest]
    with pytest.raises(EncryptionKeyMissing, match=f"{old.newest.hex()}.*{sealing(NEW).newest.hex()}") as caught:
        sealing(NEW).session(SID).open(META, piece)
    assert caught.value.key_id == old.newest.hex()


def test_nothing_shows_a_key() -> None:
    """Neither ``repr`` nor the settings show one, and a pickle is refused."""
    keys = sealing(NEW)

    assert NEW not in f"{keys!r} {Settings(encryption_keys=[NEW])!r}"
    assert keys.newest.hex() in repr(keys)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(keys)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([], "no secret"),
        (["short"], "has 5 bytes, 32 are needed"),
        ([NEW, NEW], "twice"),
        (5, "type int"),
        ([5], "is int, not bytes"),
    ],
)
def test_a_key_that_cannot_be_is_said_when_connecting(keys: object, why: str) -> None:
    """Not to the first visitor, and without showing it."""
    with pytest.raises(ConfigurationError, match=f"^encryption_keys: .*{why}") as caught:
        connect("state", encryption_keys=keys)

    assert NEW not in str(caught.value)


def test_a_client_of_the_actor_lane_needs_no_keys() -> None:
    """Nor is it asked for good ones: the manager has them."""
    connect("state", lane="actor", encryption_keys=["short"]).close()


def test_keys_from_the_environment() -> None:
    """Several are separated by commas or white space, newest first."""
    settings = Settings.load(environ={"COATCHECK_ENCRYPTION_KEYS": f"{NEW}, {OLD}"})

    made = sealing_of(settings)

    assert made is not None
    assert made.ids == sealing(NEW, OLD).ids
    assert sealing_of(Settings()) is None


# The file ------------------------------------------------------------------------------------------------------


def test_keys_from_a_file(tmp_path: Path) -> None:
    """One a line, newest first; lines that begin with # are comments."""
    path = tmp_path / "keys"
    path.write_text(f"# since Monday\n{NEW}\n\n  # before\n{OLD}\n")
    path.chmod(0o600)

    made = sealing_of(Settings(encryption_keys_file=path))

    assert made is not None
    assert made.ids == sealing(NEW, OLD).ids


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    """A file that is missing, empty, open to others, no file, or beside what it seals is refused by name."""
    path = tmp_path / "keys"
    settings = Settings(home=tmp_path / "state", encryption_keys_file=path)
    with pytest.raises(ConfigurationError, match=f"{path}.*No such file"):
        sealing_of(settings)
    path.write_text("# none yet\n")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"open to others .*chmod 600"):
        sealing_of(settings)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=f"encryption_keys_file {path}: no secret"):
        sealing_of(settings)
    with pytest.raises(ConfigurationError, match="no regular file"):
        sealing_of(Settings(home=tmp_path / "state", encryption_keys_file="/dev/null"))
    with pytest.raises(ConfigurationError, match="in the state directory"):
        sealing_of(Settings(home=tmp_path, encryption_keys_file=path))
    with pytest.raises(ConfigurationError, match="both set"):
        sealing_of(Settings(encryption_keys=[NEW], encryption_keys_file=path))


def test_an_argument_overrules_the_environment(tmp_path: Path) -> None:
    """Whichever of the two it is; both of them in one place are a mistake."""
    environ = {"COATCHECK_ENCRYPTION_KEYS": NEW}

    settings = Settings.load(environ=environ, encryption_keys_file=tmp_path / "keys")

    assert settings.encryption_keys is None
    with pytest.raises(ConfigurationError, match="both set"):
        sealing_of(Settings.load(environ={**environ, "COATCHECK_ENCRYPTION_KEYS_FILE": str(tmp_path / "keys")}))


def test_a_relative_path_stays_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that changes its directory keeps its keys."""
    monkeypatch.chdir(tmp_path)

    assert Settings(encryption_keys_file="keys").encryption_keys_file == tmp_path / "keys"


# The extra -----------------------------------------------------------------------------------------------------


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Where cryptography is missing, the error has the line to type; without keys nothing is missed."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'coatcheck\[crypto\]'"):
        connect(home, encryption_keys=[NEW])
    with connect(home) as client:
        token, _ = client.create({"a": 1})
        assert client.load(token) is not None


def test_who_does_not_encrypt_does_not_load_it(home: Path) -> None:
    """A process without keys never imports cryptography."""
    program = (
        "import sys, coatcheck; client = coatcheck.connect(sys.argv[1]); client.create({}); client.close(); "
        "sys.exit('cryptography' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program, str(home)], check=False, cwd=Path(__file__).parents[1])

    assert done.returncode == 0


def test_one_module_knows_it() -> None:
    """Only ``coatcheck.sealing`` imports cryptography."""
    root = Path(room.__file__).parent

    found = [each for each in root.rglob("*.py") if "from cryptography" in each.read_text(encoding="utf-8")]

    assert found == [root / "sealing.py"]


def test_ids_are_no_part_of_keys() -> None:
    """The id, which is written beside everything, is derived by another label than the key."""
    keyring = Keyring([NEW.encode()])

    assert sealing(NEW).newest not in keyring.derive("seal")
