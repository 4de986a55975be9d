"""Encryption at rest: every piece of a session sealed by itself, under a key of its session alone.

The only module that knows ``cryptography``. The cipher is AES-256-GCM; the key of a session is a keyed BLAKE2b of its
sid under an encryption key. A piece is ``key id (4) | nonce (12) | ciphertext | tag (16)``; its place (what it is, and
the key that it is the value of) is authenticated with it, so a piece that was moved cannot be opened.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from coatcheck.errors import ConfigurationError, CorruptRecord, EncryptionKeyMissing
from coatcheck.keyring import Keyring, keyring_from

if TYPE_CHECKING:
    from coatcheck.settings import Settings

INDEX: Final = b"i"
FLASH: Final = b"f"
TAKES: Final = b"t"
META: Final = b"m"
PRINCIPAL: Final = b"p"
DETAIL: Final = b"d"
_VALUE: Final = b"v"

ID_SIZE: Final = 4
"""Bytes of what names a key: not a secret, and no help to find it."""

_NONCE_SIZE: Final = 12
_BODY: Final = ID_SIZE + _NONCE_SIZE

OVERHEAD: Final = _BODY + 16
"""Bytes by which a piece is longer than what is in it."""

_urandom = os.urandom


def value_place(key: str) -> bytes:
    """The place of the value of a key."""
    return _VALUE + key.encode("utf-8", "surrogatepass")


class Sealing:
    """The encryption keys, newest first. ``repr`` shows their ids, nothing else.

    Raises ConfigurationError where ``cryptography`` is missing.
    """

    __slots__ = ("_hashers", "cipher", "fingerprints", "ids", "newest", "refusal")

    def __init__(self, keyring: Keyring) -> None:
        self.cipher, self.refusal = _cryptography()
        self.ids = [keyring.derive("seal-id", index, ID_SIZE) for index in range(len(keyring))]
        """Newest first."""
        self.newest = self.ids[0]
        """The id of the key that seals."""
        self.fingerprints = keyring.fingerprints()
        """By which they can be told from the server secrets."""
        self._hashers = {
            key_id: blake2b(key=keyring.derive("seal", index), person=b"coatcheck seal", digest_size=32)
            for index, key_id in enumerate(self.ids)
        }

    def session(self, sid: bytes) -> Seal:
        """What seals and opens the pieces of one session; of the store itself without a sid."""
        return Seal(self, sid)

    def key_of(self, key_id: bytes, sid: bytes) -> bytes:
        """The key of a session. Raises EncryptionKeyMissing."""
        hasher = self._hashers.get(key_id)
        if hasher is None:
            raise EncryptionKeyMissing(key_id.hex(), [each.hex() for each in self.ids])
        keyed = hasher.copy()
        keyed.update(sid)
        return keyed.digest()

    def __repr__(self) -> str:
        return f"<Sealing under {' '.join(each.hex() for each in self.ids)}>"

    def __reduce__(self) -> NoReturn:
        msg = "encryption keys are not pickled: they stay in the process"
        raise TypeError(msg)


class Seal:
    """Seals and opens the pieces of one session."""

    __slots__ = ("_ciphers", "_sealing", "_sid")

    def __init__(self, sealing: Sealing, sid: bytes) -> None:
        self._sealing, self._sid = sealing, sid
        self._ciphers: dict[bytes, Any] = {}

    def seal(self, place: bytes, plain: bytes) -> bytes:
        """A piece under the newest key."""
        key_id = self._sealing.newest
        cipher = self._ciphers.get(key_id) or self._cipher(key_id)
        # Drawn, not counted: two processes may seal at once, and a restored backup goes back in time. Under the key of
        # one session that is safe for some four thousand million pieces (NIST SP 800-38D, 8.3).
        nonce = _urandom(_NONCE_SIZE)
        sealed: bytes = cipher.encrypt(nonce, plain, place)
        return key_id + nonce + sealed

    def open(self, place: bytes, piece: bytes) -> bytes:
        """What is in a piece. Raises EncryptionKeyMissing, and CorruptRecord for one that was changed or moved."""
        key_id = piece[:ID_SIZE]
        if len(piece) < OVERHEAD:
            raise self._spoilt()
        cipher = self._ciphers.get(key_id) or self._cipher(key_id)
        try:
            plain: bytes = cipher.decrypt(piece[ID_SIZE:_BODY], piece[_BODY:], place)
        except self._sealing.refusal:
            raise self._spoilt() from None
        return plain

    def is_current(self, piece: bytes) -> bool:
        """Whether a piece is under the newest key."""
        return piece[:ID_SIZE] == self._sealing.newest

    def renewed(self, place: bytes, piece: bytes) -> bytes:
        """The piece, under the newest key."""
        return piece if self.is_current(piece) else self.seal(place, self.open(place, piece))

    def _cipher(self, key_id: bytes) -> Any:
        cipher = self._ciphers[key_id] = self._sealing.cipher(self._sealing.key_of(key_id, self._sid))
        return cipher

    def _spoilt(self) -> CorruptRecord:
        whose = f"session {self._sid[:4].hex()}" if self._sid else "the store"
        return CorruptRecord(
            f"{whose}: something sealed cannot be opened, because it was changed or moved: run 'check', then restore "
            f"a backup"
        )


def sealing_of(settings: Settings) -> Sealing | None:
    """The encryption keys of these settings, None where there are none. Raises ConfigurationError."""
    keys: Any = settings.encryption_keys
    name = "encryption_keys"
    if settings.encryption_keys_file is not None:
        if keys is not None:
            msg = "encryption_keys and encryption_keys_file are both set: use one of them"
            raise ConfigurationError(msg)
        name, keys = f"encryption_keys_file {settings.encryption_keys_file}", _read(settings)
    if keys is None:
        return None
    try:
        keyring = keyring_from(keys, settings.home)
    except ConfigurationError as error:
        msg = f"{name}: {error}"
        raise ConfigurationError(msg) from None
    return Sealing(keyring)


def refuse_secrets(sealing: Sealing | None, keyring: Keyring) -> None:
    """Raise ConfigurationError for an encryption key that is a server secret too: that one may lie beside the data."""
    if sealing is not None and set(sealing.fingerprints) & set(keyring.fingerprints()):
        msg = "an encryption key is a server secret, too, which may lie beside the data: make a key of its own"
        raise ConfigurationError(msg)


def _read(settings: Settings) -> str:
    path = Path(settings.encryption_keys_file or "")
    if settings.home.resolve() in path.resolve().parents:
        msg = f"{path} lies in the state directory, beside what it seals: keep it elsewhere"
        raise ConfigurationError(msg)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check(path, os.fstat(file.fileno()))
            text = file.read().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        msg = f"{path}, the file of the encryption keys, cannot be read: {error.strerror}; mend that, or name another"
        raise ConfigurationError(msg) from error
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _check(path: Path, status: os.stat_result) -> None:
    # Credentials of systemd belong to root, and an access list, which shows as the group's bits, lets the unit in.
    if not stat.S_ISREG(status.st_mode):
        msg = f"{path} is no regular file: name the file of the encryption keys"
    elif status.st_uid not in {0, os.geteuid()}:
        msg = f"{path} belongs to user {status.st_uid}: chown {os.geteuid()} {path}"
    elif status.st_mode & (0o007 | (0o070 if status.st_uid else 0o020)):
        msg = f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 {path}"
    else:
        return
    raise ConfigurationError(msg)


def _cryptography() -> tuple[Any, type[Exception]]:
    """The cipher, and what it raises for a piece that is not what it was."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        msg = f"encryption at rest needs cryptography ({error}): pip install 'coatcheck[crypto]'"
        raise ConfigurationError(msg) from error
    return AESGCM, InvalidTag
