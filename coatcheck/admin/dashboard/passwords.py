"""The password file: one line for each who may sign in, ``name:scrypt$n$r$p$salt$hash``, and how often one may guess.

``python -m coatcheck.admin.dashboard password FILE NAME`` writes a line.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from coatcheck.errors import ConfigurationError
from coatcheck.secret_file import read_private
from coatcheck.store.files import write_private

SHORTEST: Final = 12
"""Characters of a new password at least (ASVS 6.2.1, NIST SP 800-63B)."""

LONGEST: Final = 1024
"""Characters that are looked at; more are refused, as hashing them would be work for nothing."""

_N, _R, _P = 2**17, 8, 1  # 128 MiB for each guess: OWASP's Password Storage Cheat Sheet
_MEMORY: Final = 256 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_FREE_GUESSES: Final = 5
_LONGEST_PAUSE: Final = 300.0
_REMEMBERED: Final = 1000


class Hashed(NamedTuple):
    """A password as it is kept."""

    n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    @classmethod
    def of(cls, password: str) -> Hashed:
        """With a new salt."""
        salt = secrets.token_bytes(16)
        return cls(_N, _R, _P, salt, _scrypt(password, salt, _N, _R, _P))

    @classmethod
    def parse(cls, text: str) -> Hashed:
        """What ``str`` made. Raises ValueError."""
        kind, n, r, p, salt, digest = text.split("$")
        parsed = cls(int(n), int(r), int(p), base64.b64decode(salt, validate=True), base64.b64decode(digest))
        if kind != "scrypt" or len(parsed.salt) < 16 or len(parsed.hash) < 32 or 128 * parsed.n * parsed.r > _MEMORY:
            raise ValueError(text)
        if parsed.n < 2**14 or parsed.n & (parsed.n - 1) or parsed.r < 8 or not 1 <= parsed.p <= 16:
            raise ValueError(text)
        return parsed

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(each).decode("ascii") for each in (self.salt, self.hash))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"

    def fits(self, password: str) -> bool:
        """Whether it is this password, in constant time."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.n, self.r, self.p), self.hash)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


class PasswordFile:
    """The file, read anew whenever it has changed."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError for a file that is missing, open to others, or has a line that cannot be."""
        self.path = path
        self._read_at: tuple[int, int] | None = None
        self._names: dict[str, Hashed] = {}
        self._nobody = Hashed(_N, _R, _P, secrets.token_bytes(16), secrets.token_bytes(32))
        self._one = threading.Lock()
        self._refresh()

    def check(self, name: str, password: str) -> bool:
        """Whether that is somebody. As long for a name that is not there, so that names cannot be told apart."""
        if len(password) > LONGEST:
            return False
        with self._one:  # one at a time: each takes 128 MiB
            self._refresh()
            known = self._names.get(name)
            return (known or self._nobody).fits(password) and known is not None

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except OSError as error:
            msg = f"{self.path}: {error.strerror}; make it: {_HOW.format(path=self.path)}"
            raise ConfigurationError(msg) from None
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._read_at:
            self._names = read_file(self.path)
            self._read_at = stamp


def read_file(path: Path) -> dict[str, Hashed]:
    """Names and passwords of a file that is its owner's alone. Raises ConfigurationError naming the line."""
    found: dict[str, Hashed] = {}
    for number, line in enumerate((read_private(path) or "").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(":")
        try:
            if not _NAME.fullmatch(name):
                raise ValueError(name)
            found[name] = Hashed.parse(text)
        except ValueError:
            msg = f"{path}, line {number}: not name:scrypt$n$r$p$salt$hash; write it anew: {_HOW.format(path=path)}"
            raise ConfigurationError(msg) from None
    return found


def set_password(path: Path, name: str, password: str) -> None:
    """Write the line of that name, or replace it. Raises ConfigurationError for a name or password that cannot be."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be a name: letters, digits and . _ @ + - only, 64 at most"
        raise ConfigurationError(msg)
    if not SHORTEST <= len(password) <= LONGEST:
        msg = f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}"
        raise ConfigurationError(msg)
    known = read_file(path)
    known[name] = Hashed.of(password)
    write_private(path, "".join(f"{each}:{hashed}\n" for each, hashed in known.items()))


_HOW: Final = "python -m coatcheck.admin.dashboard password {path} NAME"


class Guesses:
    """How long somebody has to wait before the next guess: five are free, then each wrong one doubles the pause.

    By name, and for all names together, as the dashboard sees one peer only: loopback (ASVS 6.3.1).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait(self, name: str) -> float:
        """Seconds until a guess for that name is looked at; 0.0: now."""
        now = self._clock()
        return max(0.0, *(until - now for key in (name, "") for _, until in [self._wrong.get(key, (0, now))]))

    def wrong(self, name: str) -> None:
        """Count a wrong one."""
        if len(self._wrong) >= _REMEMBERED and name not in self._wrong:
            self._forget()
        for key, free in ((name, _FREE_GUESSES), ("", 4 * _FREE_GUESSES)):
            count, until = self._wrong.get(key, (0, 0.0))
            now = self._clock()
            if now - until > _LONGEST_PAUSE:
                count = 0
            pause = 0.0 if count < free else min(_LONGEST_PAUSE, 2.0 ** (count - free))
            self._wrong[key] = count + 1, now + pause

    def right(self, name: str) -> None:
        """Forget what was wrong before."""
        self._wrong.pop(name, None)

    def _forget(self) -> None:
        """Keep those that still have to wait, and the count of all."""
        now = self._clock()
        self._wrong = {key: each for key, each in self._wrong.items() if key == "" or each[1] > now}
