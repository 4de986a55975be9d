"""The one choke point between this process and LMDB: opening, threads, forks, the writer gate, errors.

LMDB allows one environment per process and file, and none of its handles may be used, or even closed, on both sides of
a fork. So environments are shared by all stores of a process, opened at the first transaction, and closed around
every ``os.fork``; both sides open again when they need to.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import lmdb

from coatcheck.errors import StoreUnavailable
from coatcheck.store import files
from coatcheck.store.gate import Backoff, GateBusy, SharedGate, WriterGate
from coatcheck.store.lmdb_errors import translate, translated
from coatcheck.store.opener import agree_on_namespace
from coatcheck.store.policy import Policy
from coatcheck.store.tables import COUNT, Tables, Transaction, open_tables
from coatcheck.store.upkeep import Upkeep

if TYPE_CHECKING:
    from coatcheck.clock import Clock

MAX_READERS: Final = 512
_OPEN_TIMEOUT: Final = 10.0
_SLICE: Final = 0.0001

Founder = Callable[[Transaction, Tables], Policy]

_get_ident = threading.get_ident
_getpid = os.getpid


class Environment:
    """A state directory, open or not."""

    def __init__(self, home: Path, founder: Founder, clock: Clock) -> None:
        """``founder`` settles the policy inside the first transaction; its errors are those of opening."""
        self.home = home
        self.tables = Tables(*[None] * COUNT)
        self.policy = Policy()
        self.upkeep = Upkeep(self, clock)
        self.users = 0
        self._founder = founder
        self.local = threading.local()
        self._handle: lmdb.Environment | None = None
        self._pid = 0
        # Which threads are inside a transaction. A list, because append and remove are atomic: an entering thread
        # appends first and then looks at the handle, a forking one takes the handle away first and then waits for
        # the list to become empty; so one of the two always sees the other.
        self._inside: list[int] = []
        self._reset_locks()

    def renew(self, home: Path, founder: Founder, clock: Clock) -> None:
        """Begin again for the first user after the last one; the directory may be another with the same number."""
        self.home, self._founder = home, founder
        self.upkeep = Upkeep(self, clock)
        if self._handle is None:
            self.policy = Policy()

    def _reset_locks(self) -> None:
        self._opening = threading.RLock()
        self._writing = threading.Lock()

    # Transactions ----------------------------------------------------------------------------------------------

    def begin_read(self) -> Transaction:
        """A read transaction, to be given to ``end_read``."""
        inside = self._inside
        ident = _get_ident()
        while True:
            inside.append(ident)
            handle = self._handle
            if handle is not None and self._pid == _getpid():
                try:
                    return cast("Transaction", handle.begin())
                except BaseException as error:
                    inside.remove(ident)
                    if isinstance(error, lmdb.Error):
                        raise translate(error, self.home) from error
                    raise
            inside.remove(ident)
            self.open()

    def end_read(self, transaction: Transaction) -> None:
        """Give a read transaction back."""
        transaction.abort()
        self._inside.remove(_get_ident())
        if not self.users:
            self.close()

    def begin_write(self, timeout: float) -> Transaction:
        """A write transaction, after the writer gate; to be given to ``end_write``.

        Raises StoreUnavailable after ``timeout`` seconds; GateBusy at once inside ``no_wait``.
        """
        writing = self._writing
        backoff: Backoff | None = None
        if not writing.acquire(blocking=False):
            if getattr(self.local, "no_wait", False):
                raise GateBusy(_BUSY)
            backoff = Backoff(timeout)
            if not writing.acquire(timeout=timeout):
                raise self._busy(timeout)
        inside = self._inside
        ident = _get_ident()
        try:
            while True:
                inside.append(ident)
                handle = self._handle
                if handle is None or self._pid != _getpid():
                    inside.remove(ident)
                    self.open()
                    continue
                if self._gate.enter():
                    try:
                        return cast("Transaction", handle.begin(write=True))
                    except BaseException as error:
                        self._gate.leave()
                        inside.remove(ident)
                        if isinstance(error, lmdb.Error):
                            raise translate(error, self.home) from error
                        raise
                inside.remove(ident)
                if getattr(self.local, "no_wait", False):
                    raise GateBusy(_BUSY)
                backoff = backoff or Backoff(timeout)
                if not backoff.wait():
                    raise self._busy(timeout)
        except BaseException:
            writing.release()
            raise

    def end_write(self, transaction: Transaction, *, commit: bool) -> None:
        """Commit or abort, and open the gate."""
        try:
            if commit:
                transaction.commit()
            else:
                transaction.abort()
        finally:
            self._gate.leave()
            self._inside.remove(_get_ident())
            self._writing.release()
            if not self.users:
                self.close()

    def outside_transactions(self) -> lmdb.Environment:
        """The open handle, for what LMDB does by itself (copy, sync, info). Call ``leave`` afterwards."""
        inside = self._inside
        ident = _get_ident()
        while True:
            inside.append(ident)
            handle = self._handle
            if handle is not None and self._pid == _getpid():
                return handle
            inside.remove(ident)
            self.open()

    def leave(self) -> None:
        """The end of ``outside_transactions``."""
        self._inside.remove(_get_ident())
        if not self.users:
            self.close()

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

    # Opening and closing ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open, if it is not. Raises ConfigurationError and StoreUnavailable."""
        with self._opening:
            if self._handle is not None:
                if self._pid == _getpid():
                    return
                msg = (
                    f"process {_getpid()} has inherited the open store of process {self._pid} through a fork that "
                    f"Python was not told of: start workers before the first use (uwsgi: lazy-apps = true)"
                )
                raise StoreUnavailable(msg)
            files.prepare_directory(self.home)
            shared = SharedGate(self.home / files.GATE)
            try:
                alone = shared.try_alone()
                if alone:
                    files.check_data_file(self.home)
                agree_on_namespace(self.home, shared, alone=alone, timeout=_OPEN_TIMEOUT)
                self._open_handle(shared)
            except BaseException:
                if self._handle is None:
                    shared.close()
                raise

    def _open_handle(self, shared: SharedGate) -> None:
        files.check_data_file(self.home)
        gate = WriterGate(self.home / files.WRITER)
        handle: lmdb.Environment | None = None
        entered = False
        try:
            backoff = Backoff(_OPEN_TIMEOUT if not self.users else 2.0)
            while not (entered := gate.enter()):
                if not backoff.wait():
                    raise gate.busy(backoff.timeout)
            with translated(self.home):
                handle = self._open_settled()
        except BaseException:
            if handle is not None:
                handle.close()
            if entered:
                gate.leave()
            gate.close()
            raise
        gate.leave()
        self._shared, self._gate = shared, gate
        self._pid = _getpid()
        self._handle = handle

    @contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Inside, the store is closed here and everywhere. Raises StoreUnavailable naming who has it open."""
        with self._opening:
            self._close_handle()
            if self._handle is not None:
                msg = "the store cannot be closed inside a transaction"
                raise StoreUnavailable(msg)
            gate = SharedGate(self.home / files.GATE)
            try:
                gate.enter_alone(timeout)
                yield
            finally:
                gate.close()

    def copy_closed(self, target: Path) -> None:
        """Inside ``alone``: write a compacted, synced copy of the data file."""
        with translated(self.home):
            handle = self._lmdb(self.policy)
            try:
                descriptor = files.create_private(target)
                try:
                    handle.copyfd(descriptor, compact=True)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            finally:
                handle.close()

    def readers(self) -> int:
        """Read transactions that are open, over all processes."""
        handle = self.outside_transactions()
        try:
            lines: list[str] = handle.readers().splitlines()
        finally:
            self.leave()
        return sum(1 for line in lines if line.split() and line.split()[0].isdigit() and line.split()[-1] != "-")

    def _lmdb(self, policy: Policy) -> lmdb.Environment:
        return lmdb.open(
            os.fspath(self.home),
            map_size=policy.map_size,
            max_dbs=COUNT,
            max_readers=MAX_READERS,
            max_spare_txns=0,
            mode=0o600,
            readahead=False,
            sync=policy.durability == "commit",
            metasync=policy.durability == "commit",
            lib_version=0,
        )

    def _open_settled(self) -> lmdb.Environment:
        policy = self.policy
        while True:
            handle = self._lmdb(policy)
            try:
                with handle.begin(write=True) as transaction:
                    self.tables = open_tables(handle, transaction)
                    self.policy = self._founder(cast("Transaction", transaction), self.tables)
                if not (self.home / files.MARKER).exists():
                    handle.sync(True)
                    files.write_private(self.home / files.MARKER, "coatcheck store\n")
            except BaseException:
                handle.close()
                raise
            if (self.policy.map_size, self.policy.durability) == (policy.map_size, policy.durability):
                return handle
            # The store is kept in another way than it was opened: LMDB takes these only when opening.
            handle.close()
            policy = self.policy

    def close(self) -> None:
        """Close when nobody uses it, after waiting for the transactions that run."""
        with self._opening:
            self._close_handle()

    def _close_handle(self) -> bool:
        handle, self._handle = self._handle, None
        if handle is None or self._pid != _getpid():
            self._handle = handle
            return False
        ident = _get_ident()
        if ident in self._inside:  # a signal handler forks inside a transaction: the child will be refused
            self._handle = handle
            return False
        while self._inside:
            time.sleep(_SLICE)
        handle.close()
        self._gate.close()
        self._shared.close()
        return True

    def _busy(self, timeout: float) -> StoreUnavailable:
        if self._handle is None:
            return StoreUnavailable(f"no turn to write within {timeout:.1f} s: the store is being opened")
        return self._gate.busy(timeout)

    # Forks -----------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Keep everybody out and close."""
        self._opening.acquire()
        self._close_handle()

    def after_fork_in_parent(self) -> None:
        """Let everybody in again."""
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """The other threads do not exist here, so neither do their locks."""
        self._reset_locks()
        self._inside = []
        self.local = threading.local()
        self.upkeep.forget()


_BUSY: Final = "another writer is at work, and this caller does not wait"
