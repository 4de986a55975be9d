"""The record of a sealed session: like any other, but what is asked for is opened first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from coatcheck.codec import unpack
from coatcheck.errors import CorruptRecord
from coatcheck.sealing import ID_SIZE, META, PRINCIPAL
from coatcheck.store import body as bodies
from coatcheck.store import header as headers
from coatcheck.store.header import HEADER, SEALED
from coatcheck.store.record import Record
from coatcheck.store.sealed_body import SealedBody, key_id_of

if TYPE_CHECKING:
    from coatcheck.sealing import Seal, Sealing


class SealedRecord(Record):
    """A record that is opened as it is used. Where it crosses to another process it is a plain one.

    What is asked for raises EncryptionKeyMissing, and CorruptRecord for what was changed or moved at rest.
    """

    __slots__ = ("_seal", "_sealing")

    def __init__(self, sid: bytes, row: bytes, body: bytes | None, sealing: Sealing, *, in_grace: bool = False) -> None:
        super().__init__(sid, row, body, in_grace=in_grace)
        if not row[1] & SEALED:
            raise not_sealed(sid)
        self._sealing = sealing
        self._seal: Seal | None = None

    @property
    def seal(self) -> Seal:
        """What opens it."""
        if self._seal is None:
            self._seal = self._sealing.session(self._sid)
        return self._seal

    @property
    def principal(self) -> str | None:
        """Whom it is bound to, or None."""
        sealed = self._parts().principal
        return None if sealed is None else open_principal(self.seal, sealed)

    @property
    def meta(self) -> dict[str, Any]:
        """What the application noted about it; a copy."""
        sealed = self._parts().meta
        return dict(unpack(self.seal.open(META, sealed))) if sealed else {}

    @property
    def key_id(self) -> bytes:
        """The id of the key it is sealed under; nothing where there is nothing in it to seal."""
        parts = self._parts()
        return key_id_of(self._raw()) or (parts.meta or _as_bytes(parts.principal))[:ID_SIZE]

    @property
    def is_current(self) -> bool:
        """Whether all of it is sealed under the newest key."""
        return self.key_id in (b"", self._sealing.newest)

    def _framed(self) -> SealedBody:
        return SealedBody(self._raw(), self.seal)

    def values(self) -> dict[str, Any]:
        """All data decoded at once, a new dict with new values each time."""
        return self.body.values()

    def plain(self) -> tuple[bytes, bytes]:
        """Header and variable part, and the body, as they would be if it were not sealed."""
        parts, body = self._parts(), self.body
        meta = self.seal.open(META, parts.meta) if parts.meta else b""
        variable = headers.pack_variable(parts._replace(principal=self.principal, meta=meta))
        raw = bodies.join(body.packed_values(), body.flashes(), body.takes())
        header = self._header
        opened = header._replace(flags=header.flags & ~SEALED, variable_length=len(variable), body_length=len(raw))
        return HEADER.pack(*opened) + variable, raw

    def to_wire(self) -> bytes:
        """The record as bytes, for another process: opened, since that may have no keys."""
        row, raw = self.plain()
        packed: bytes = msgpack.packb([self._sid, row, raw, self.in_grace, self.ended])
        return packed


def not_sealed(sid: bytes) -> CorruptRecord:
    """Otherwise whoever can write to the file could put a session in that they made up."""
    return CorruptRecord(
        f"session {sid[:4].hex()} is not sealed, in an encrypted store: run 'check', then restore a backup"
    )


def seal_principal(seal: Seal, principal: str) -> bytes:
    """The name of a principal, sealed."""
    return seal.seal(PRINCIPAL, principal.encode("utf-8", "surrogatepass"))


def open_principal(seal: Seal, sealed: str | bytes) -> str:
    """The name of a principal. Raises CorruptRecord and EncryptionKeyMissing."""
    return seal.open(PRINCIPAL, _as_bytes(sealed)).decode("utf-8", "surrogatepass")


def _as_bytes(sealed: str | bytes | None) -> bytes:
    return sealed if isinstance(sealed, bytes) else b""
