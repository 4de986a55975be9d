"""A sealed session inside a write transaction: what changes is sealed, what stays is taken as it lies.

Values and flashes are kept as pieces, all under the newest key. A session that is found under an older one is sealed
anew as a whole by whatever stores it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.sealing import FLASH, META, OVERHEAD, value_place
from coatcheck.store import sealed_body
from coatcheck.store.body import Body, size_of
from coatcheck.store.draft import Draft
from coatcheck.store.header import SEALED
from coatcheck.store.sealed_body import SealedBody
from coatcheck.store.sealed_record import SealedRecord, not_sealed, open_principal, seal_principal

if TYPE_CHECKING:
    from coatcheck.sealing import Seal, Sealing
    from coatcheck.store.record import Record
    from coatcheck.store.tables import Tables, Transaction


class SealedDraft(Draft):
    """One session, open for changes."""

    __slots__ = ("_before", "_encrypting", "_old_size", "_opened", "_sealing", "seal")

    def __init__(
        self,
        transaction: Transaction,
        tables: Tables,
        sid: bytes,
        row: bytes | None,
        sealing: Sealing,
        *,
        encrypting: bool = False,
    ) -> None:
        """``encrypting``: the session need not be sealed yet."""
        super().__init__(transaction, tables, sid, row)
        self._sealing, self._encrypting = sealing, encrypting
        self.seal: Seal = sealing.session(sid)
        self._before: SealedBody | None = None
        self._old_size = 0
        self._opened: dict[str, bytes] = {}

    # The variable part -----------------------------------------------------------------------------------------

    @property
    def principal(self) -> str | None:
        """Whom it is bound to, in the clear."""
        sealed = self.variable.principal
        return sealed if sealed is None else open_principal(self.seal, sealed)

    def bind(self, principal: str, principal_hash: bytes) -> None:
        """Bind it to somebody."""
        sealed = seal_principal(self.seal, principal)
        self.variable = self.variable._replace(principal=sealed, principal_hash=principal_hash)

    @property
    def meta(self) -> bytes:
        """What the application noted about it, packed."""
        sealed = self.variable.meta
        return self.seal.open(META, sealed) if sealed else b""

    @meta.setter
    def meta(self, packed: bytes) -> None:
        self.variable = self.variable._replace(meta=self.seal.seal(META, packed) if packed else b"")

    def _renew_variable(self) -> None:
        if not (self._variable_length or self._variable):
            return
        seal, variable = self.seal, self.variable
        principal, meta = variable.principal, variable.meta
        if isinstance(principal, str):
            principal = seal_principal(seal, principal)
        elif principal is not None and not seal.is_current(principal):
            principal = seal_principal(seal, open_principal(seal, principal))
        if meta:
            sealed = self.is_new or self.flags & SEALED
            meta = seal.renewed(META, meta) if sealed else seal.seal(META, meta)
        if principal is not variable.principal or meta is not variable.meta:
            self.variable = variable._replace(principal=principal, meta=meta)

    # The body --------------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        raw, seal = self._raw_body(), self.seal
        self._parsed = True
        if self.flags & SEALED:
            body = SealedBody(raw, seal)
            self._old_size = body.size
            if body.is_current:
                self._before = body
                self.values_, self.flashes_, self.takes_ = body.pieces(), body.flash_pieces(), body.take_pieces()
                return
            self._seal_all(body)
        else:
            if not self._encrypting:
                raise not_sealed(self.sid)
            plain = Body(raw)
            self._old_size = size_of(plain.packed_values(), plain.flashes())
            self._seal_all(plain)

    def _seal_all(self, body: Body) -> None:
        seal = self.seal
        self.values_ = {key: seal.seal(value_place(key), packed) for key, packed in body.packed_values().items()}
        self.flashes_ = self.stored(body.flashes())
        self.takes_ = [[take_id, at, self.stored(flashes)] for take_id, at, flashes in body.takes()]
        self._body_change()

    @property
    def _pieces(self) -> dict[str, bytes]:
        if not self._parsed:
            self._parse()
        return self.values_

    @property
    def values(self) -> dict[str, bytes]:
        """Packed values by key; a copy."""
        return {key: self.get(key) or b"" for key in self._pieces}

    def get(self, key: str) -> bytes | None:
        """The packed value of a key, or None."""
        packed = self._opened.get(key)
        if packed is None:
            piece = self._pieces.get(key)
            if piece is not None:
                packed = self._opened[key] = self.seal.open(value_place(key), piece)
        return packed

    def put(self, key: str, packed: bytes) -> None:
        """Set a packed value."""
        if self.get(key) != packed:
            self._pieces[key] = self.seal.seal(value_place(key), packed)
            self._opened[key] = packed
            self._data_change()

    def remove_key(self, key: str) -> None:
        """Remove a key."""
        self._opened.pop(key, None)
        if self._pieces.pop(key, None) is not None:
            self._data_change()

    def clear(self) -> None:
        """Remove all keys."""
        self._opened.clear()
        if self._pieces:
            self.values_.clear()
            self._data_change()

    def stored(self, packed: list[bytes]) -> list[bytes]:
        """Packed flashes as they are stored."""
        return [self.seal.seal(FLASH, each) for each in packed]

    def opened(self, stored: list[bytes]) -> list[bytes]:
        """Stored flashes as they were packed."""
        return [self.seal.open(FLASH, each) for each in stored]

    def size_with(self, flashes: list[bytes]) -> int:
        """Bytes that count against the limit, those that are sealed and not what sealing adds."""
        pieces = self._pieces
        lengths = [*map(len, pieces.values()), *map(len, flashes)]
        return sum(map(len, pieces)) + sum(lengths) - OVERHEAD * len(lengths)

    @property
    def old_size(self) -> int:
        """Bytes that counted against the limit before the changes."""
        if not self._parsed:
            self._parse()
        return self._old_size

    @property
    def grows(self) -> bool:
        """Whether there is more in it than before; that it is sealed anew does not count."""
        return self.is_new or self.size > self.old_size

    def _joined(self) -> bytes:
        if self._join is None:
            self._join = sealed_body.join(self.values_, self.flashes_, self.takes_, self.seal, self._before)
        return self._join

    # Storing ---------------------------------------------------------------------------------------------------

    def store(self) -> Record:
        """Put the session and its entry in the expiry index, all of it under the newest key."""
        if not self._parsed:
            self._parse()
        self._renew_variable()
        self.flags |= SEALED
        return super().store()

    def record(self, row: bytes, chunked: bytes | None) -> SealedRecord:
        """The record of a row."""
        return SealedRecord(self.sid, row, chunked, self._sealing)
