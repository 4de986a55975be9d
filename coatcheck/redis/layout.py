"""Where things are in Redis: the names of the keys, and the rows of tokens.

Every key has the session's tag in braces: the first hex digit of its sid, which its tokens share. So all keys of one
session are in one hash slot, and one script can reach them on a Cluster too. ``{t}`` below is such a tag.

=================================  ======  =========================================================================
``coatcheck:{t}:s:<sid>``          hash    a session: see :mod:`coatcheck.redis.rest`
``coatcheck:{t}:f:<sid>``          list    its flashes, oldest first
``coatcheck:{t}:t:<token hash>``   string  the row of a token: sid, state, times
``coatcheck:{t}:p:<principal>``    zset    the sids of a principal (its keyed hash), by deadline
``coatcheck:{t}:not-before:<p>``   string  written by revoke: what the principal bound earlier has ended
``coatcheck:{t}:e``                zset    all sids, by deadline
``coatcheck:{t}:b``                zset    ``<sid>:<principal>`` of those with a principal, by deadline
``coatcheck:{t}:z``                zset    hashes of tokens out of use, by how long they are remembered
``coatcheck:{t}:log``              stream  what happened to which session
``coatcheck:{t}:i``                string  which life of the log it is: another one, when Redis has lost its data
``coatcheck:{0}:hosts``            hash    what each host tells of itself
``coatcheck:{0}:meta``             hash    what all openers must agree on
=================================  ======  =========================================================================
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from coatcheck.store.tables import CURRENT, GRACE

TAGS: Final = tuple("0123456789abcdef")
"""All tags, in the order of the sids that have them."""

_ROW: Final = struct.Struct(">BQQ16s")
_SID: Final = 32


class TokenRow(NamedTuple):
    """What is known of a token."""

    sid: bytes
    state: int
    since: int
    """When it changed into this state; of a grace: when it ends (microseconds UTC)."""
    kept: int
    """Until when it is remembered; 0: as long as its session."""
    writer: bytes
    """The request that wrote this row, so that its repeat knows its own work."""

    def leads(self, now: int) -> bool:
        """Whether it reaches the session."""
        return self.state == CURRENT or (self.state == GRACE and now < self.since)

    def packed(self) -> bytes:
        """The row at rest: the sid in front as text, for the scripts to cut off."""
        return self.sid.hex().encode() + _ROW.pack(self.state, self.since, self.kept, self.writer)

    @classmethod
    def unpacked(cls, row: bytes) -> TokenRow:
        """The row that ``packed`` made. Raises ValueError or struct.error for anything else."""
        return cls(bytes.fromhex(row[:_SID].decode()), *_ROW.unpack(row[_SID:]))


class Layout:
    """The keys of one store."""

    def __init__(self, prefix: str) -> None:
        """``prefix`` stands in front of every key."""
        self.prefix = prefix
        self._of_tag = {tag: f"{prefix}:{{{tag}}}:".encode() for tag in TAGS}
        self.meta = self.of_tag("0") + b"meta"
        self.hosts = self.of_tag("0") + b"hosts"

    def of_tag(self, tag: str) -> bytes:
        """What all keys of a tag begin with."""
        return self._of_tag[tag]

    def of_sid(self, sid: bytes) -> bytes:
        """What all keys of a session begin with."""
        return self._of_tag[sid[:1].hex()[0]]

    def session(self, sid: bytes) -> bytes:
        """The hash of a session."""
        return self.of_sid(sid) + b"s:" + sid.hex().encode()

    def flashes(self, sid: bytes) -> bytes:
        """Its list of flashes."""
        return self.of_sid(sid) + b"f:" + sid.hex().encode()

    def token(self, tag: str, token_hash: bytes) -> bytes:
        """The row of a token."""
        return self._of_tag[tag] + b"t:" + token_hash.hex().encode()

    def principal(self, tag: str, principal_hash: bytes) -> bytes:
        """The sids of a principal under one tag."""
        return self._of_tag[tag] + b"p:" + principal_hash.hex().encode()

    def not_before(self, tag: str, principal_hash: bytes) -> bytes:
        """What a revocation of a principal has left under one tag."""
        return self._of_tag[tag] + b"not-before:" + principal_hash.hex().encode()

    def expiry(self, tag: str) -> bytes:
        """All sids of a tag by deadline."""
        return self._of_tag[tag] + b"e"

    def bound(self, tag: str) -> bytes:
        """Those of a principal, with whose they are."""
        return self._of_tag[tag] + b"b"

    def buried(self, tag: str) -> bytes:
        """Tokens out of use."""
        return self._of_tag[tag] + b"z"

    def log(self, tag: str) -> bytes:
        """What happened."""
        return self._of_tag[tag] + b"log"

    def incarnation(self, tag: str) -> bytes:
        """Which life of the log it is."""
        return self._of_tag[tag] + b"i"

    def lock(self, principal_hash: bytes) -> bytes:
        """Who may count the sessions of a principal at present."""
        tag = principal_hash.hex()[0]
        return self._of_tag[tag] + b"lock:" + principal_hash.hex().encode()


def tag_of(sid: bytes) -> str:
    """The tag of a session."""
    return sid[:1].hex()[0]


def moment(microseconds: int) -> bytes:
    """A time as text that sorts like the time."""
    return b"%020d" % microseconds
