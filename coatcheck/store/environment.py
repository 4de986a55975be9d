"""Transactions: the one choke point between the threads of this process and LMDB."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lmdb

from coatcheck.errors import StoreUnavailable
from coatcheck.store.files import explained
from coatcheck.store.forks import ForkingHandle
from coatcheck.store.gate import Backoff, GateBusy
from coatcheck.store.handle import Founder
from coatcheck.store.lmdb_errors import translate, translated
from coatcheck.store.nesting import verb_below
from coatcheck.store.tables import Transaction
from coatcheck.store.upkeep import Upkeep

if TYPE_CHECKING:
    from coatcheck.clock import Clock

_SYNC_TIMEOUT: Final = 10.0
_NESTED: Final = "a signal handler cannot write in the middle of a verb that writes: note it, and write later"
_BUSY: Final = "another writer is at work, and this caller does not wait"

_get_ident = threading.get_ident
_getpid = os.getpid


class Environment(ForkingHandle):
    """A state directory, and the transactions on it."""

    def __init__(self, home: Path, founder: Founder, clock: Clock) -> None:
        super().__init__(home, founder, clock)
        self.upkeep = Upkeep(self, clock)
        self.on_pinned, self.on_forked, self.on_left_open = self.upkeep.watch, self.upkeep.forget, self.upkeep.linger

    def renew(self, home: Path, founder: Founder, clock: Clock) -> None:
        """Begin again for the first user after the last one; the directory may be another with the same number."""
        self.moved(home, founder, clock)
        self.upkeep.renew(clock)

    # Transactions ----------------------------------------------------------------------------------------------

    def begin_read(self) -> Transaction:
        """A read transaction, to be given to ``end_read``."""
        inside = self._inside
        ident = _get_ident()
        if ident in inside and not verb_below():
            self._reap()
        while True:
            inside.append(ident)
            handle = self._handle
            if handle is not None and self._pid == _getpid():
                try:
                    transaction: Transaction = handle.begin()  # type: ignore[assignment]
                    return transaction
                except BaseException as error:
                    self._leave_inside(ident)
                    if isinstance(error, lmdb.Error):
                        raise translate(error, self.home) from error
                    raise
            inside.remove(ident)
            self.open()

    def end_read(self, transaction: Transaction) -> None:
        """Give a read transaction back."""
        transaction.abort()
        self._leave_inside(_get_ident())
        if not self.users:
            self.close_if_unused()

    def begin_write(self, timeout: float) -> Transaction:
        """A write transaction, after the writer gate; to be given to ``end_write``.

        Raises StoreUnavailable after ``timeout`` seconds; GateBusy at once inside ``no_wait``.
        """
        transaction = self._try_write(timeout)
        if transaction is not None:
            return transaction
        backoff = Backoff(timeout)
        while True:
            if getattr(self.local, "no_wait", False):
                raise GateBusy(_BUSY)
            if not backoff.wait():
                raise self._busy(timeout)
            transaction = self._try_write(timeout)
            if transaction is not None:
                return transaction

    def _try_write(self, timeout: float) -> Transaction | None:
        """Wait for the other threads, but not for other processes; None when one of them is writing."""
        if self._handle is None or self._pid != _getpid():
            # Before the lock: a fork takes the right to open first and this lock second.
            self.open()
        ident, writing = _get_ident(), self._writing
        if writing._is_owned() or ident in self._inside:  # type: ignore[attr-defined]  # noqa: SLF001 - see _reap
            if not verb_below():
                self._reap()
            elif writing._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001
                raise StoreUnavailable(_NESTED)
        if not writing.acquire(blocking=False):
            self._acquire_writing(timeout)
        self._inside.append(ident)
        try:
            handle = self._handle
            if handle is not None and self._gate.enter():
                try:
                    if not self._gate.pin_owner and self.policy.durability == "second":
                        self.sync_points.ensure(handle)
                        self.on_pinned()
                    transaction: Transaction = handle.begin(write=True)  # type: ignore[assignment]
                    self._transaction, self._transaction_handle = transaction, handle
                    return transaction
                except BaseException:
                    self._gate.leave()
                    raise
        except BaseException as error:
            self._leave_inside(ident)
            writing.release()
            if isinstance(error, lmdb.Error):
                raise translate(error, self.home) from error
            raise
        self._leave_inside(ident)
        writing.release()
        return None

    def _acquire_writing(self, timeout: float) -> None:
        writing = self._writing
        if getattr(self.local, "no_wait", False):
            raise GateBusy(_BUSY)
        forks = self.forks
        while not writing.acquire(timeout=timeout):
            # Forks of this process shut everybody out for a while; that is no stuck writer.
            if forks == self.forks:
                raise self._busy(timeout)
            forks = self.forks

    def end_write(self, transaction: Transaction, *, commit: bool) -> None:
        """Commit or abort, and open the gate."""
        try:
            if commit:
                transaction.commit()
            else:
                self._abort(transaction)
        finally:
            self._transaction = self._transaction_handle = None
            self._gate.leave()
            self._leave_inside(_get_ident())
            self._writing.release()
            if not self.users:
                self.close_if_unused()

    def sync_point(self, timeout: float = _SYNC_TIMEOUT) -> bool:
        """Make a sync point; whether anything had been written since the last.

        Raises StoreFull and StoreUnavailable.
        """
        self.require_files()
        with self._syncing:
            transaction = self.begin_write(timeout)
            # Inside twice, so that no fork closes the handle between the gate and the sync. Waiting for the gate while
            # inside would be a deadlock: a fork holds the gate while it waits until nobody is inside.
            self._inside.append(_get_ident())
            try:
                # Not self._handle: a fork that waits for this thread has taken it away.
                handle = self._transaction_handle
                assert handle is not None
                try:
                    begun = self.sync_points.begin(handle)
                finally:
                    self.end_write(transaction, commit=True)
                with translated(self.home):
                    new = self.sync_points.finish(handle, begun)
            except OSError as error:
                raise explained(error, self.home) from error
            finally:
                self.leave()
        self.on_pinned()
        return new

    def last_transaction(self) -> int:
        """The number of the newest transaction that was committed, by any process."""
        handle = self.outside_transactions()
        try:
            return int(handle.info()["last_txnid"])
        finally:
            self.leave()

    def highest_byte(self) -> int:
        """The end of the highest page that was ever in use."""
        handle = self.outside_transactions()
        try:
            return int((handle.info()["last_pgno"] + 1) * handle.stat()["psize"])
        finally:
            self.leave()

    def used_bytes(self) -> int:
        """Bytes of the pages in use now."""
        transaction = self.begin_read()
        try:
            stats = [transaction.stat(table) for table in self.tables]
        finally:
            self.end_read(transaction)
        return sum(
            (each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"]) * each["psize"] for each in stats
        )

    def readers(self) -> int:
        """Read transactions that are open, over all processes."""
        return len(self.reader_slots())

    def reader_slots(self) -> list[tuple[int, str, int]]:
        """The process, thread and transaction of each read transaction that is open, over all processes."""
        handle = self.outside_transactions()
        try:
            lines: list[str] = handle.readers().splitlines()
        finally:
            self.leave()
        rows = [line.split() for line in lines]
        return [(int(row[0]), row[1], int(row[2])) for row in rows if len(row) == 3 and row[2].isdigit()]
