"""Settings: from arguments, then from ``COATCHECK_*`` in the environment, then defaults.

Each setting but the lifetimes has its variable: its name in capitals behind ``COATCHECK_``, ``COATCHECK_SECRET`` for
``secrets``.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, get_args

from coatcheck.errors import ConfigurationError
from coatcheck.lifetimes import ANONYMOUS, SIGNED_IN, Lifetimes

Lane = Literal["direct", "actor"]
Durability = Literal["second", "commit"]
LimitPolicy = Literal["evict-oldest", "refuse"]
ConflictPolicy = Literal["last-write", "reject"]
EndedPolicy = Literal["drop", "error"]
OutagePolicy = Literal["503", "anonymous", "read-only"]
RedisMode = Literal["none", "standby", "shared"]

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "lane": get_args(Lane),
    "durability": get_args(Durability),
    "on_principal_limit": get_args(LimitPolicy),
    "on_conflict": get_args(ConflictPolicy),
    "on_ended": get_args(EndedPolicy),
    "on_outage": get_args(OutagePolicy),
    "redis": get_args(RedisMode),
}
_AUDIT: Final = ("audit_file_bytes", "audit_file_count")
_POSITIVE: Final = ("map_size", "max_session_bytes", "max_flashes", "gate_timeout", "ask_timeout", "pool_size", *_AUDIT)

_log = logging.getLogger("coatcheck")

DEFAULT_HOME: Final = "coatcheck-state"
DEFAULT_PORT: Final = 1929


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. ``repr`` shows no secret."""

    home: Path = Path(DEFAULT_HOME)
    """The state directory (``COATCHECK_HOME``)."""

    secrets: Sequence[str | bytes] | None = field(default=None, repr=False)
    """Server secrets, newest first (``COATCHECK_SECRET``); None: the file ``secret`` in the state directory."""

    encryption_keys: Sequence[str | bytes] | None = field(default=None, repr=False)
    """Keys for encryption at rest, newest first; None: those of the file, or no encryption."""

    encryption_keys_file: Path | str | None = None
    """A file with the encryption keys, one a line, newest first."""

    lane: Lane = "direct"
    """How a client reaches the store (``COATCHECK_LANE``)."""

    # Store-wide: kept in the store; None means: as the store has it. -------------------------------------------

    durability: Durability | None = None
    """``second`` (default) or ``commit`` (``COATCHECK_DURABILITY``)."""

    map_size: int | None = None
    """The most bytes the store may grow to; default 64 GiB (sparse)."""

    max_session_bytes: int | None = None
    """Bytes of data and flashes of one session; default 65,536."""

    max_flashes: int | None = None
    """Flashes of one session, the oldest fall out; default 100."""

    max_sessions_per_principal: int | None = None
    """Live sessions of one principal; 0 (default) is no limit (ASVS 7.1.2)."""

    on_principal_limit: LimitPolicy | None = None
    """``evict-oldest`` (default) or ``refuse``."""

    redis: RedisMode | None = None
    """``none`` (default), or what Redis is for (``COATCHECK_REDIS``): ``standby``, a copy that another host can take
    over; ``shared``, the truth for any number of hosts."""

    redis_prefix: str | None = None
    """What stands in front of every key in Redis (``COATCHECK_REDIS_PREFIX``); default ``coatcheck``."""

    # Per client. -----------------------------------------------------------------------------------------------

    anonymous: Lifetimes = ANONYMOUS
    """Lifetimes of sessions without a principal."""

    signed_in: Lifetimes = SIGNED_IN
    """Lifetimes of sessions with one."""

    on_conflict: ConflictPolicy = "last-write"
    """Same key saved by two requests: the last wins, or the later one gets SessionConflict."""

    on_ended: EndedPolicy = "drop"
    """A commit that finds its session ended: drop what it has, or raise SessionMissing."""

    on_outage: OutagePolicy = "503"
    """While the store cannot be asked (``COATCHECK_ON_OUTAGE``): sessions raise StoreUnavailable (``503``), are new and
    empty ones that nothing is kept of (``anonymous``), or are read as far as they can be (``read-only``)."""

    gate_timeout: float = 2.0
    """Seconds a writer waits for its turn before StoreUnavailable."""

    ask_timeout: float = 5.0
    """Seconds the actor lane waits for an answer before RequestTimeout."""

    pool_size: int = 16
    """Endpoints of the actor lane in one process."""

    redis_url: str | None = field(default=None, repr=False)
    """Where Redis is (``COATCHECK_REDIS_URL``): see :mod:`coatcheck.redis.connecting`. It may hold a password."""

    port: int | None = None
    """Admin port of the actor system (``COATCHECK_PORT``); None: any free one."""

    bind: str = "127.0.0.1"
    """The IPv4 address on which the actor system listens, and its clients for its answers (``COATCHECK_BIND``).

    Any but a loopback address is for clients in other network namespaces of this machine: frames are authenticated but
    not encrypted, so who can listen in on that network sees sessions and tokens, and can repeat what was said.
    """

    audit_file: Path | str | None = None
    """Where the actor system writes every audit event as a line of JSON (``COATCHECK_AUDIT_FILE``); None: nowhere."""

    audit_file_bytes: int = 10 << 20
    """Bytes after which the audit file is rotated."""

    audit_file_count: int = 10
    """Former audit files that are kept."""

    clock: str = "system"
    """``system``, or ``file:PATH`` in tests."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError that names the setting, its value, and what is allowed."""
        object.__setattr__(self, "home", _directory(self.home))
        for name in ("anonymous", "signed_in"):
            value = getattr(self, name)
            if not isinstance(value, Lifetimes):
                msg = f"{name} is {value!r}: use lifetimes, such as Lifetimes(idle=3600), in seconds"
                raise ConfigurationError(msg)
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                msg = f"{name} is {value!r}: use one of {', '.join(map(repr, allowed))}"
                raise ConfigurationError(msg)
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
                msg = f"{name} is {value!r}: use a number above 0"
                raise ConfigurationError(msg)
        _check_bind(self.bind)
        _check_redis(self.redis_url, self.redis_prefix)
        file = self.encryption_keys_file
        if file is not None:
            if not isinstance(file, (str, Path)) or not str(file).strip():
                msg = f"encryption_keys_file is {file!r}: use the path of a file"
                raise ConfigurationError(msg)
            object.__setattr__(self, "encryption_keys_file", Path(file).absolute())
        if self.audit_file is not None:
            if not isinstance(self.audit_file, (str, Path)) or not str(self.audit_file).strip():
                msg = f"audit_file is {self.audit_file!r}: use the path of a file"
                raise ConfigurationError(msg)
            object.__setattr__(self, "audit_file", Path(self.audit_file).absolute())
        limit = self.max_sessions_per_principal
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            msg = f"max_sessions_per_principal is {limit!r}: use a whole number, 0 for no limit"
            raise ConfigurationError(msg)
        if self.port is not None and not (isinstance(self.port, int) and 0 < self.port < 65536):
            msg = f"port is {self.port!r}: use 1 to 65535, or leave it out for any free one"
            raise ConfigurationError(msg)

    def of_the_store(self, home: Path | None = None) -> Settings:
        """Of these only those that say where the store is and who may open it, and no wishes."""
        return Settings(
            home=home or self.home,
            secrets=self.secrets,
            encryption_keys=self.encryption_keys,
            encryption_keys_file=self.encryption_keys_file,
        )

    @classmethod
    def load(
        cls, home: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None, **given: Any
    ) -> Settings:
        """Settings from the arguments, what they leave out from the environment, the rest by default.

        Raises ConfigurationError for an unknown name or a value that cannot be.
        """
        environ = os.environ if environ is None else environ
        _tell_unknown(environ)
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            msg = f"unknown setting {unknown[0]!r}: there are {', '.join(sorted(known))}"
            raise ConfigurationError(msg)
        values = {name: value for name, value in given.items() if value is not None}
        if home is not None:
            values["home"] = home
        overruled = _EITHER if _EITHER & set(values) else frozenset()
        for name, variable in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if name not in values and name not in overruled and text:
                values[name] = _from_text(name, variable, text)
        return cls(**values)


def _check_bind(bind: Any) -> None:
    try:
        address = ip_address(bind) if isinstance(bind, str) else None
    except ValueError:
        address = None
    if address is None or address.version != 4 or address.is_unspecified or address.is_multicast:
        msg = f"bind is {bind!r}: use one IPv4 address of this host, such as 127.0.0.1, that others reach it at"
        raise ConfigurationError(msg)


def _check_redis(url: Any, prefix: Any) -> None:
    if url is not None and (not isinstance(url, str) or "://" not in url):
        # Not the value: there may be a password in it.
        msg = "redis_url is no URL: use one such as redis://localhost or rediss://user:password@host:6379/0"
        raise ConfigurationError(msg)
    if prefix is not None and (not isinstance(prefix, str) or not _PREFIXES.fullmatch(prefix)):
        msg = f"redis_prefix is {prefix!r}: use letters, digits and . _ : - only"
        raise ConfigurationError(msg)


_PREFIXES: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PREFIX: Final = "COATCHECK_"
_WHOLE: Final = (
    "map_size",
    "max_session_bytes",
    "max_flashes",
    "max_sessions_per_principal",
    "pool_size",
    "port",
    *_AUDIT,
)
_SECONDS: Final = ("gate_timeout", "ask_timeout")
_LIFETIMES: Final = ("anonymous", "signed_in")
_EITHER: Final = frozenset({"encryption_keys", "encryption_keys_file"})
_VARIABLES: Final = {
    each.name: "COATCHECK_SECRET" if each.name == "secrets" else f"{_PREFIX}{each.name.upper()}"
    for each in fields(Settings)
    if each.name not in _LIFETIMES
}
_OF_COOKIES: Final = frozenset({"COATCHECK_SECURE"})
"""Read by the integrations, not a setting of a client."""

_told: Final[set[str]] = set()


def _tell_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt variable would have no effect without a word: one warning for each, once."""
    known = [name.removeprefix(_PREFIX) for name in _VARIABLES.values()]
    for name in sorted(set(environ) - set(_VARIABLES.values()) - _OF_COOKIES - _told):
        if name.startswith(_PREFIX):
            _told.add(name)
            meant = get_close_matches(name.removeprefix(_PREFIX), known, 1, 0.8)
            if meant:
                _log.warning("%s in the environment has no effect: did you mean %s%s?", name, _PREFIX, meant[0])


def _directory(home: Any) -> Path:
    path = os.fspath(home) if isinstance(home, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path.strip():
        msg = f"home is {home!r}: use the path of a directory, or leave it out for {DEFAULT_HOME!r}"
        raise ConfigurationError(msg)
    if "://" in path:
        msg = f"home is {home!r}: use the path of a directory on this host, not a URL"
        raise ConfigurationError(msg)
    return Path(path).absolute()  # a daemon that changes its directory keeps its store


def _from_text(name: str, variable: str, text: str) -> Any:
    if name in ("secrets", "encryption_keys"):
        return tuple(text.replace(",", " ").split())
    try:
        if name in _WHOLE:
            return int(text)
        if name in _SECONDS:
            return float(text)
    except ValueError:
        msg = f"{variable} is {text!r}: use a number"
        raise ConfigurationError(msg) from None
    return text
