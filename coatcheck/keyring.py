"""The server's secrets, and the keys that are derived from them.

A *root* is one secret. The newest makes new tokens and hashes; the older ones are kept as long as tokens made under
them are to work. No root is ever used itself: each purpose has its own key, derived by its label.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, NoReturn

from coatcheck import secret_file
from coatcheck.errors import ConfigurationError

MIN_ROOT_SIZE: Final = 32
"""Bytes of the shortest root that is taken: 256 bits when they are random."""

HOW_TO_MAKE_ONE: Final = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'
"""The command that prints a good secret."""

FINGERPRINT_SIZE: Final = 8
PRINCIPAL_HASH_SIZE: Final = 16

_LABEL: Final = re.compile(r"[!-~]{1,16}")
_SEPARATORS: Final = re.compile(r"[\s,]+")


class Keyring:
    """Roots, newest first, and the keys derived from them. ``repr`` shows how many there are, nothing else.

    Raises ConfigurationError without any root, for one that is not bytes or is shorter than 32 bytes, and for one
    given twice.
    """

    __slots__ = ("_keys", "_principal_hashers")

    def __init__(self, roots: Sequence[bytes]) -> None:
        if not roots:
            msg = f"no secret: make one with {HOW_TO_MAKE_ONE}"
            raise ConfigurationError(msg)
        for place, root in enumerate(roots, start=1):
            _check_root(place, root)
        if len(set(roots)) < len(roots):
            msg = f"the same secret twice among {len(roots)}: leave one of them out"
            raise ConfigurationError(msg)
        # Hashed first, because a key of BLAKE2b ends at 64 bytes and a root does not.
        self._keys = [blake2b(root, person=b"coatcheck root").digest() for root in roots]
        self._principal_hashers = [
            blake2b(key=self.derive("principal", index), digest_size=PRINCIPAL_HASH_SIZE) for index in range(len(self))
        ]

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self)}>"

    def __reduce__(self) -> NoReturn:
        msg = "a Keyring is not pickled: its secrets stay in the process"
        raise TypeError(msg)

    def derive(self, label: str, index: int = 0, size: int = 32) -> bytes:
        """The key for one purpose: ``size`` bytes (1 to 64, default 32) under root ``index`` (0, the newest).

        ``label`` is 1 to 16 visible ASCII characters: ``token``, ``principal``, ``wire``, ``check``, ... Keys of
        different labels, roots or sizes tell nothing about each other.

        Raises ValueError for another label or size, IndexError for a root that is not there.
        """
        if _LABEL.fullmatch(label) is None:
            msg = f"{label!r} is no label: use 1 to 16 visible ASCII characters"
            raise ValueError(msg)
        if not 0 <= index < len(self._keys):
            msg = f"there is no root {index} among {len(self)}"
            raise IndexError(msg)
        return blake2b(key=self._keys[index], person=label.encode(), digest_size=size).digest()

    def fingerprints(self) -> list[bytes]:
        """8 bytes for each root, newest first, that recognise it and tell nothing about it.

        Kept in the store, so that an opener with the wrong secret is told so instead of finding no session.
        """
        return [self.derive("check", index, FINGERPRINT_SIZE) for index in range(len(self))]

    def principal_hashes(self, principal: str) -> list[bytes]:
        """16 bytes for each root, newest first, under which sessions of ``principal`` are found."""
        name = principal.encode("utf-8", "surrogatepass")
        hashes = []
        for hasher in self._principal_hashers:
            keyed = hasher.copy()
            keyed.update(name)
            hashes.append(keyed.digest())
        return hashes


def parse_secrets(text: str) -> list[bytes]:
    """The roots in ``text``, such as ``COATCHECK_SECRET``: separated by commas or white space, newest first."""
    return [part.encode("utf-8", "surrogateescape") for part in _SEPARATORS.split(text) if part]


def load_or_create(path: Path) -> Keyring:
    """The keyring of the secret file at ``path``, which is made with one new root when it is not there.

    The file is text: one root a line as ``secrets.token_urlsafe(32)`` makes it, newest first; lines that begin with
    ``#`` are comments. Processes that make it at the same time agree on one.

    Raises ConfigurationError, with the path, what is wrong and the command that repairs it, for a file that others
    may read, that belongs to someone else, is empty, is a symbolic link or holds a root that is too short.
    """
    text = secret_file.read_or_create(path)
    roots = parse_secrets("\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    if not roots:
        msg = f"{path} holds no secret: restore it from a backup, or end all sessions with: rm {shlex.quote(str(path))}"
        raise ConfigurationError(msg)
    try:
        return Keyring(roots)
    except ConfigurationError as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from None


def keyring_from(secrets: object, path: Path) -> Keyring:
    """The keyring of these secrets, newest first, each as :func:`parse_secrets` takes it or as bytes.

    None: that of the secret file at ``path``. Raises ConfigurationError, see :func:`load_or_create`.
    """
    if secrets is None:
        return load_or_create(path)
    if isinstance(secrets, (str, bytes)):
        secrets = [secrets]
    if not isinstance(secrets, Sequence):
        msg = f"secrets is of type {type(secrets).__name__}: use a list of texts, newest first"
        raise ConfigurationError(msg)
    roots: list[bytes] = []
    for secret in secrets:
        roots += parse_secrets(secret) if isinstance(secret, str) else [secret]
    return Keyring(roots)


def _check_root(place: int, root: object) -> None:
    if not isinstance(root, bytes):
        msg = f"secret {place} is {type(root).__name__}, not bytes: encode it first"
        raise ConfigurationError(msg)
    if len(root) < MIN_ROOT_SIZE:
        msg = f"secret {place} has {len(root)} bytes, {MIN_ROOT_SIZE} are needed: make one with {HOW_TO_MAKE_ONE}"
        raise ConfigurationError(msg)
