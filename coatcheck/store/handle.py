"""Opening and closing a store in this process, also around forks, and keeping its sync point pinned.

LMDB allows one environment per process and file, and none of its handles may be used, or even closed, on both sides of
a fork. So environments are shared by all stores of a process, opened at the first transaction, and closed around
every ``os.fork``; both sides open again when they need to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import lmdb

from coatcheck.errors import StoreUnavailable
from coatcheck.store import files
from coatcheck.store.gate import Backoff, SharedGate, WriterGate, holders
from coatcheck.store.lmdb_errors import translated
from coatcheck.store.opener import agree_on_namespace
from coatcheck.store.policy import Policy, is_new
from coatcheck.store.policy import read as read_policy
from coatcheck.store.presence import OPEN_TIMEOUT, Presence
from coatcheck.store.recovery import needs_recovery, recover
from coatcheck.store.sync_points import SyncPoints
from coatcheck.store.synced import SYNCED
from coatcheck.store.tables import COUNT, Tables, Transaction, open_tables

if TYPE_CHECKING:
    from coatcheck.clock import Clock

MAX_READERS: Final = 512
_CLOSE_TIMEOUT: Final = 1.0
LEAVE_TIMEOUT: Final = 30.0

Founder = Callable[[Transaction, Tables], Policy]

_get_ident = threading.get_ident
_getpid = os.getpid


def _nothing() -> None:
    pass


class Handle(Presence):
    """A state directory, open or not, and the gates around it."""

    def __init__(self, home: Path, founder: Founder, clock: Clock) -> None:
        """``founder`` settles the policy inside the first transaction; its errors are those of opening."""
        super().__init__()
        self.home = home
        self.tables = Tables(*[None] * COUNT)
        self.policy = Policy()
        self.sync_points = SyncPoints(home, clock)
        self.on_pinned: Callable[[], None] = _nothing
        self.on_forked: Callable[[], None] = _nothing
        self.on_left_open: Callable[[], None] = _nothing
        self.on_opened: Callable[[], None] = _nothing
        self.users = 0
        self._founder = founder
        self._pid = 0
        self._keeps_gates = False
        self._not_closed = ""  # why the last fork left it open
        self._lost = ""  # in a child for which it was left open: why
        self._identity: tuple[int, int] | None = None

    def moved(self, home: Path, founder: Founder, clock: Clock) -> None:
        """Use another path, founder and clock from now on; a handle on other files is given up."""
        self.home, self._founder = home, founder
        self.sync_points.moved(home, clock)
        with self._opening:
            if self._handle is not None and self._identity != _identity_of(home):
                self.sync_points.drop()
                self._close_handle()
            if self._handle is None:
                self.policy = Policy()

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
        self._leave_inside(_get_ident())
        if not self.users:
            self.close_if_unused()

    # Opening and closing ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open, if it is not. Raises ConfigurationError and StoreUnavailable."""
        with self._opening, self._pausing:
            if self._lost or self._handle is not None:
                if not self._lost and self._pid == _getpid():
                    return
                why = self._lost or (
                    "Python was not told of the fork: start workers before the first use (uwsgi: lazy-apps = true)"
                )
                msg = (
                    f"process {_getpid()} has inherited the open store of process {self._pid}, which LMDB does not "
                    f"allow, and has to be started again; {why}"
                )
                raise StoreUnavailable(msg)
            try:
                files.prepare_directory(self.home)
                files.require_room_to_begin(self.home)
                shared = self._enter_shared()
                try:
                    self._open_handle(shared)
                except BaseException:
                    if self._handle is None:
                        shared.close()
                    raise
                self.on_opened()
            except OSError as error:
                raise files.explained(error, self.home) from error

    def _enter_shared(self) -> SharedGate:
        """The gate, entered shared, of a store that needs no recovery, or has had it."""
        backoff = Backoff(OPEN_TIMEOUT)
        while True:
            shared = SharedGate(self.home / files.GATE)
            try:
                alone = shared.try_alone()
                if alone:
                    recover(self.home)
                agree_on_namespace(self.home, shared, alone=alone, timeout=backoff.left)
                # Somebody else was alone and has given up, or was killed: then it is our turn.
                if alone or not needs_recovery(self.home):
                    return shared
                if not backoff.wait():
                    msg = f"{self.home} waits for its recovery after a power loss: end the processes that have it open"
                    raise StoreUnavailable(msg)
            except BaseException:
                shared.close()
                raise
            shared.close()

    def _open_handle(self, shared: SharedGate) -> None:
        gate = WriterGate(self.home / files.WRITER)
        try:
            backoff = Backoff(OPEN_TIMEOUT if not self.users else 2.0)
            while not gate.enter():
                if not backoff.wait():
                    raise gate.busy(backoff.timeout)
            try:
                files.check_data_file(self.home)  # inside the gate, where nobody makes the file longer meanwhile
                self._open_inside(shared, gate)
            finally:
                gate.leave()
        except BaseException:
            gate.close()
            raise

    def _open_inside(self, shared: SharedGate, gate: WriterGate) -> None:
        """Open, inside the writer gate."""
        self.sync_points.gate = gate
        with translated(self.home):
            handle = self._open_settled()
        self._shared, self._gate = shared, gate
        self._pid = _getpid()
        self._identity = _identity_of(self.home)
        self._handle = handle
        if self.sync_points.pinned:
            self.on_pinned()

    @contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Inside, the store is closed here and everywhere. Raises StoreUnavailable naming who has it open."""
        with self._opening:
            backoff = Backoff(timeout)
            while not self.close():
                if not backoff.wait():
                    pids = ", ".join(map(str, holders(self.home / files.GATE) or ())) or "unknown"
                    msg = f"{self.home} is in use by process {pids}: stop it and try again"
                    raise StoreUnavailable(msg)
            gate = SharedGate(self.home / files.GATE)
            try:
                gate.enter_alone(backoff.left)
                yield
            finally:
                gate.close()

    def change_closed(self, change: Callable[[Transaction, Tables], None]) -> None:
        """Inside ``alone``: one transaction, on the disk as a whole when this returns."""
        with translated(self.home):
            handle = self._lmdb(replace(self.policy, durability="commit"))
            try:
                handle.sync(True)
                # Nothing is pinned, so nobody must fall back to the last sync point; the file itself is whole.
                (self.home / SYNCED).unlink(missing_ok=True)
                files.sync_directory(self.home)
                with handle.begin(write=True) as transaction:
                    change(cast("Transaction", transaction), open_tables(handle, transaction))
            finally:
                handle.close()

    def copy_closed(self, target: Path) -> None:
        """Inside ``alone``: write a compacted, synced copy of the data file."""
        with translated(self.home):
            handle = self._lmdb(self.policy)
            try:
                handle.sync(True)
                descriptor = files.create_private(target)
                try:
                    handle.copyfd(descriptor, compact=True)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            finally:
                handle.close()

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
                    new = is_new(cast("Transaction", transaction), self.tables)
                    if new:
                        self.policy = self._founder(cast("Transaction", transaction), self.tables)
                if new or not (self.home / files.MARKER).exists():
                    handle.sync(True)
                    # The server secret must not get into anybody's repository.
                    files.write_private(self.home / files.IGNORE, "*\n")
                    files.write_private(self.home / files.MARKER, "coatcheck store\n")
                if not new:
                    with handle.begin() as transaction:
                        self.policy = read_policy(cast("Transaction", transaction), self.tables, self.home)
            except BaseException:
                handle.close()
                raise
            if (self.policy.map_size, self.policy.durability) == (policy.map_size, policy.durability):
                break
            # The store is kept in another way than it was opened: LMDB takes these only when opening.
            handle.close()
            policy = self.policy
        try:
            if self.policy.durability == "second":
                self.sync_points.ensure(handle)  # before anything is written
            if not new:
                with handle.begin(write=True) as transaction:
                    self.policy = self._founder(cast("Transaction", transaction), self.tables)
        except BaseException:
            self.sync_points.drop()
            handle.close()
            raise
        return handle

    def has_its_files(self) -> bool:
        """Whether the file that is open is still the one under the store's path."""
        return _identity_of(self.home) == self._identity

    def require_files(self) -> None:
        """Raise StoreUnavailable, once, when the files were removed or replaced while they were open; then close.

        What is written to a file without a name is lost, and a sync point would lead into somebody else's.
        """
        if self._handle is None or self._pid != _getpid() or self.has_its_files():
            return
        with self._opening:
            self.sync_points.drop()
            self._close_handle()
        msg = (
            f"the files of the store in {self.home} were removed or replaced while it was open: what they held is gone"
        )
        raise StoreUnavailable(msg)

    def close(self, timeout: float = OPEN_TIMEOUT) -> bool:
        """Close, after waiting for the transactions that run; whether it is closed now.

        While this process pins the sync point and others have the store open, it stays open: see ``sync_points``.
        """
        with self._opening:
            if self._handle is None or not self.sync_points.pinned or _get_ident() in self._inside:
                self._close_handle()
                return self._handle is None
            # Inside the gate nobody can write, and whoever opens now waits, to look for a pin once we are gone.
            self._enter_gate(timeout)
            try:
                if self._others() is not False and self.has_its_files():
                    return False
                self.sync_points.drop()
                self._close_handle(keep_gates=True)
            finally:
                self._leave_gate()
            self._close_gates()
            return True

    def close_if_unused(self) -> None:
        """Close after the last verb of a store that was given back meanwhile; if it cannot be, upkeep goes on."""
        if self.users or _get_ident() in self._inside:  # then whoever leaves last comes by here
            return
        try:
            closed = self.close(_CLOSE_TIMEOUT)
        except StoreUnavailable:
            closed = False
        if not closed:
            self.on_left_open()

    def _close_gates(self) -> None:
        self._gate.close()
        self._shared.close()

    def _others(self) -> bool | None:
        """Whether other processes have the store open; None when the kernel does not tell."""
        pids = holders(self.home / files.GATE)
        return None if pids is None else bool(pids)

    def _close_handle(self, *, keep_gates: bool = False) -> bool:
        with self._pausing:
            handle = self._handle
            # A signal handler may fork inside a transaction: then it stays open, and the child will be refused.
            if handle is None or self._pid != _getpid() or _get_ident() in self._inside:
                return False
            self._handle = None
            if not self._wait_for_others(LEAVE_TIMEOUT):
                self._handle = handle
                return False
            handle.close()
        if not keep_gates:
            self._close_gates()
        return True


def _identity_of(home: Path) -> tuple[int, int] | None:
    try:
        status = (home / files.DATA).stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
