"""The keys of an encrypted store are replaced, and encryption is turned on and off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck.codec import unpack
from coatcheck.errors import ConfigurationError, CorruptRecord, EncryptionKeyMissing
from coatcheck.sealing import ID_SIZE
from coatcheck.store import audit, encryption, header
from coatcheck.store.backup import ALONE_WITHIN
from coatcheck.store.draft import Draft, delete_chunks, read_chunks
from coatcheck.store.header import CHUNKED, SEALED
from coatcheck.store.principal_verbs import PrincipalVerbs
from coatcheck.store.sealed_draft import SealedDraft
from coatcheck.store.sealed_record import SealedRecord
from coatcheck.store.tables import Table, Tables, Transaction

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing

_SLICE: Final = 500
_BATCH: Final = 20


@dataclass(frozen=True)
class ResealReport:
    """What a ``reseal`` did."""

    sessions: int
    """Sessions that were under an older key and are under the newest now."""

    events: int
    """The same of audit events."""

    ended: int
    """Sessions that were ended because they cannot be opened."""

    unreadable: int
    """Sessions and audit events that could not be opened and are as they were."""

    keys: tuple[str, ...]
    """Ids of the keys that the store needs from now on, newest first."""


class Resealing(PrincipalVerbs):
    """``reseal`` and ``change_encryption``: what operators call when the keys change."""

    def reseal(self, *, end_unreadable: bool = False, pause: Callable[[float], object] = time.sleep) -> ResealReport:
        """Seal all that is under older keys anew, under the newest one, in small batches beside whoever writes.

        Where nothing else is left, the store needs the newest key only from then on. To be called when all processes
        have that key in front; sessions that are saved are sealed anew without it.

        ``end_unreadable``: sessions that cannot be opened are revoked, and audit events lose their principal; for a key
        that is lost, in a store that was opened with ``any_keys``.

        Raises ConfigurationError for a store that is not encrypted.
        """
        with self._write() as transaction:
            ids, sealing = encryption.noted(transaction, self._tables), self._sealing
            if ids and sealing is not None and sealing.newest not in ids:
                encryption.note(transaction, self._tables, [sealing.newest, *ids])
        if not ids or sealing is None:
            msg = f"the store in {self.settings.home} is not encrypted: there is nothing to seal"
            raise ConfigurationError(msg)
        sessions = ended = unreadable = events = 0
        for batch in self._batches(self._tables.sessions, self._is_stale):
            began = time.perf_counter()
            with self._write() as transaction:
                for sid in batch:
                    row = transaction.get(sid, db=self._tables.sessions)
                    if row is None:
                        continue
                    try:
                        self._open_draft(transaction, sid, row).store()
                        sessions += 1
                    except (EncryptionKeyMissing, CorruptRecord):
                        # Both come before anything of this session is written.
                        if end_unreadable:
                            self._end_unreadable(transaction, sid, row)
                            ended += 1
                        else:
                            unreadable += 1
            pause(time.perf_counter() - began)
        for batch in self._batches(self._tables.audit, _is_stale_event(sealing)):
            with self._write() as transaction:
                for key in batch:
                    done = audit.reseal(
                        transaction, self._tables, key, sealing, sealing, without_unreadable=end_unreadable
                    )
                    events += done
                    unreadable += not done
        with self._write() as transaction:
            needed = encryption.noted(transaction, self._tables)
            if not unreadable:
                # A key that somebody has brought meanwhile stays.
                needed = [each for each in needed if each == sealing.newest or each not in ids]
                encryption.note(transaction, self._tables, needed)
            counts = {"sessions": sessions, "events": events, "ended": ended, "unreadable": unreadable}
            self._tell_action(transaction, self._tables, "resealed", counts)
        return ResealReport(sessions, events, ended, unreadable, tuple(each.hex() for each in needed))

    def change_encryption(self, *, on: bool) -> bool:
        """Encrypt the whole store, or none of it, in one transaction; whether it was otherwise before.

        The pages that held it before are free then, but still in the file: ``compact`` makes a file without them. The
        store has to be opened with ``any_keys``. Raises ConfigurationError without keys, EncryptionKeyMissing, and
        StoreUnavailable naming the processes that have the store open.
        """
        environment = self.environment
        sealing = self._sealing
        if sealing is None and on:
            msg = "there is no key to encrypt with: set COATCHECK_ENCRYPTION_KEYS or COATCHECK_ENCRYPTION_KEYS_FILE"
            raise ConfigurationError(msg)
        with self._read() as transaction:
            ids = encryption.noted(transaction, self._tables)
        if bool(ids) is on:
            return False
        if sealing is None:
            raise EncryptionKeyMissing(ids[0].hex())

        changed = False

        def convert(transaction: Transaction, tables: Tables) -> None:
            nonlocal changed
            assert sealing is not None
            # As it is now: somebody else may have been alone on the store in between, with the same command.
            if bool(encryption.noted(transaction, tables)) is on:
                return
            changed = True
            for sid, row in _rows(transaction, tables.sessions):
                current = header.current(row)
                if on:
                    SealedDraft(transaction, tables, sid, current, sealing, encrypting=True).store()
                else:
                    _unseal(transaction, tables, sid, current, sealing)
            former, wanted = (None, sealing) if on else (sealing, None)
            for key, _ in _rows(transaction, tables.audit):
                audit.reseal(transaction, tables, key, former, wanted)
            encryption.note(transaction, tables, [sealing.newest] if on else [])
            self._tell_action(transaction, tables, "encryption_changed", {"on": on})

        with environment.alone(ALONE_WITHIN):
            environment.change_closed(convert)
        return changed

    # Small things ----------------------------------------------------------------------------------------------

    def _batches(self, table: Table, is_stale: Callable[[Transaction, bytes, bytes], bool]) -> Iterator[list[bytes]]:
        """The keys of the rows that are to be sealed anew, a few at a time; no transaction is open meanwhile."""
        position = b""
        while True:
            with self._read() as transaction, transaction.cursor(db=table) as cursor:
                rows: list[tuple[bytes, bytes]] = []
                more = cursor.set_range(position) if position else cursor.first()
                while more and len(rows) < _SLICE:
                    rows.append((cursor.key(), cursor.value()))
                    more = cursor.next()
                stale = [key for key, row in rows if is_stale(transaction, key, row)]
            for start in range(0, len(stale), _BATCH):
                yield stale[start : start + _BATCH]
            if len(rows) < _SLICE:
                return
            position = rows[-1][0] + b"\0"

    def _end_unreadable(self, transaction: Transaction, sid: bytes, row: bytes) -> None:
        try:
            self._end_live(self._open_draft(transaction, sid, row), self._now(), "revoked")
        except CorruptRecord:
            # Not even its header: whose it is stands in the index alone.
            tables = self._tables
            with transaction.cursor(db=tables.principals) as cursor:
                more = cursor.first()
                while more:
                    more = cursor.delete() if cursor.value().endswith(sid) else cursor.next()
            transaction.delete(sid, db=tables.sessions)
            delete_chunks(transaction, tables, sid)
            self._tell_damaged(transaction, sid)

    def _is_stale(self, transaction: Transaction, sid: bytes, row: bytes) -> bool:
        assert self._sealing is not None
        try:
            row = header.current(row)
            if not row[1] & SEALED:
                return True  # and will be refused
            body = b"".join(read_chunks(transaction, self._tables, sid)) if row[1] & CHUNKED else None
            return not SealedRecord(sid, row, body, self._sealing).is_current
        except CorruptRecord:
            return True  # likewise


def _is_stale_event(sealing: Sealing) -> Callable[[Transaction, bytes, bytes], bool]:
    def is_stale(_: Transaction, __: bytes, row: bytes) -> bool:
        return any(isinstance(each, bytes) and each[:ID_SIZE] != sealing.newest for each in unpack(row)[3:])

    return is_stale


def _rows(transaction: Transaction, table: Table) -> Iterator[tuple[bytes, bytes]]:
    """All rows of a table that is changed meanwhile."""
    position = b""
    while True:
        with transaction.cursor(db=table) as cursor:
            rows: list[tuple[bytes, bytes]] = []
            more = cursor.set_range(position) if position else cursor.first()
            while more and len(rows) < _SLICE:
                rows.append((cursor.key(), cursor.value()))
                more = cursor.next()
        yield from rows
        if len(rows) < _SLICE:
            return
        position = rows[-1][0] + b"\0"


def _unseal(transaction: Transaction, tables: Tables, sid: bytes, row: bytes, sealing: Sealing) -> None:
    chunked = b"".join(read_chunks(transaction, tables, sid)) if row[1] & CHUNKED else None
    opened, raw = SealedRecord(sid, row, chunked, sealing).plain()
    draft = Draft(transaction, tables, sid, row)
    fixed = header.parse(opened)
    draft.replace_all(header.parse_variable(opened, fixed.variable_length), raw, fixed.flags)
    draft.store()
