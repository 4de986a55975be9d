"""What a verb asks of Redis, as objects: the verbs do no input or output themselves.

A verb is a generator that yields these and is sent the answers. The stores for threads and for asyncio drive the same
generators, each with its own client.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from coatcheck.redis.scripts import READ, WRITE, Script

if TYPE_CHECKING:
    from coatcheck.redis.layout import TokenRow
    from coatcheck.redis.rest import Session

Argument = bytes | str | int
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of Redis whose first argument is its key. Answered with its reply."""

    name: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One script. Answered with its reply."""

    script: Script
    keys: tuple[bytes, ...]
    arguments: tuple[Argument, ...]


def was_done(reply: Any) -> bool:
    """Whether the script that writes has written, by its reply."""
    return not isinstance(reply, list)


@dataclass(frozen=True, slots=True)
class Many:
    """Several that do not depend on each other. Answered with the list of their replies."""

    calls: Sequence[Command | Call]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds. Answered with None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """A command about servers, not keys, for each master. Answered with the list of their replies, None if refused."""

    name: str
    arguments: tuple[Argument, ...] = ()
    after: Command | None = None
    """To be run before it on the same connection, where there is one server."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What Redis has just said of a session, for whoever keeps copies. Answered with None."""

    sid: bytes | None
    """The session, where it is known which."""
    session: Session | None
    """As it lies there now, if it does."""
    position: bytes
    """The last event of its tag at that moment."""
    token_hash: bytes | None = None
    """The token that was asked for."""
    row: TokenRow | None = None
    """Its row, if it has one."""
    buried: Sequence[tuple[bytes, TokenRow]] = ()
    """The rows of other tokens."""


Request = Command | Call | Many | Pause | Ask | Keep
Flow = Generator[Request, Any, Answer]
"""A verb that does no input or output itself, and what it returns in the end."""

SLACK: int = 60_000
"""How much longer an index is kept than its last member, in milliseconds."""

_PIECE = 1000
"""Arguments of one command at most: Lua can unpack no more than a few thousand."""


def read_token(prefix: bytes, key: bytes, other: bytes = b"") -> Call:
    """Look for the session of a token, and for the row of another token beside it."""
    return Call(READ, (key,), (prefix, b"", other))


def read_sid(prefix: bytes, sid: bytes) -> Call:
    """Look for a session by its sid. A Cluster that moves only part of its keys at present refuses."""
    name = sid.hex().encode()
    return Call(READ, (prefix + b"s:" + name, prefix + b"f:" + name), (prefix, name, b""))


class Write:
    """Guards and commands for one call of the script that writes."""

    def __init__(self, look: Call) -> None:
        """``look``: what the answer should be where a guard does not hold."""
        self._look = look
        self._keys = list(look.keys)
        self._guards: list[Argument] = []
        self._guard_count = 0
        self._commands: list[Argument] = []
        self._first: list[Argument] = []

    def _key(self, key: bytes) -> int:
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key) + 1

    def guard(self, kind: str, key: bytes, value: bytes = b"") -> None:
        """Write only if the key holds what it should.

        ``absent``: there is none; ``revision``: the session is of that write; ``equal``: it is that; ``unrevoked``: it
        is no later than that moment, or spares that sid; ``after``: it is no later than that moment.
        """
        self._guards += (kind, self._key(key), value)
        self._guard_count += 1

    def run(self, name: str, key: bytes, *arguments: Argument) -> None:
        """One more command."""
        self._commands += (len(arguments), name, self._key(key), *arguments)

    def run_first(self, name: str, key: bytes, *arguments: Argument) -> None:
        """One that has to run before all others."""
        self._first += (len(arguments), name, self._key(key), *arguments)

    def run_in_pieces(self, name: str, key: bytes, arguments: Sequence[Argument]) -> None:
        """A command that takes any number of arguments, as often as it needs."""
        for start in range(0, len(arguments), _PIECE):
            self.run(name, key, *arguments[start : start + _PIECE])

    def file(self, key: bytes, member: bytes, score: bytes, now: int) -> None:
        """Put a member into an index."""
        self.run("ZADD", key, score, member)
        self.run("FILE", key, now, SLACK)

    def unfile(self, key: bytes, member: bytes, now: int) -> None:
        """Take a member out of an index."""
        self.run_first("ZREM", key, member)
        self.run("FILE", key, now, SLACK)

    def call(self) -> Call:
        """The script call."""
        arguments = (*self._look.arguments, self._guard_count, *self._guards, *self._first, *self._commands)
        return Call(WRITE, tuple(self._keys), arguments)
