"""Sync points: with no fsync in a commit, at most the last second is lost in a power loss, and never the store.

A plain sync each second is not enough: pages that the synced state needs are used again by the writes after it, and
reach the disk in any order. So a sync point holds a read transaction on the state that was synced, because LMDB never
uses a page again that an open reader can reach, and it keeps the two meta pages that lead to this state.

The *pin*, the read transaction, must be there as long as anybody can write:

* The gate says which process holds the pin. Whoever opens looks, inside the gate, whether that one's slot is there,
  and whoever writes, whether there is one at all; if not, it makes a sync point first.
* Who holds a pin does not close while others have the store open. A process that dies or ends leaves its slot in the
  reader table behind, which pins just as well, until the next sync point has been made.
* ``reader_check``, which removes such slots, is only called right after a sync point, by its maker.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import TYPE_CHECKING

import lmdb

from coatcheck.store.opener import boot_id
from coatcheck.store.synced import MetaPages, Synced, read_synced, synced_alone

if TYPE_CHECKING:
    from pathlib import Path

    from coatcheck.clock import Clock
    from coatcheck.store.gate import WriterGate

_log = logging.getLogger("coatcheck.store")


class SyncPoints:
    """The sync points of one store, and the pin of this process, if it has one."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._pin: lmdb.Transaction | None = None
        self._kept: tuple[object, ...] = ()
        self._transaction = -1
        self.gate: WriterGate | None = None
        """The gate of the store while it is open."""

    def moved(self, home: Path, clock: Clock) -> None:
        """Use another path and clock from now on."""
        self._home, self._clock = home, clock

    @property
    def pinned(self) -> bool:
        """Whether this process pins a sync point."""
        return self._pin is not None

    def ensure(self, handle: lmdb.Environment) -> None:
        """Make a sync point unless somebody else pins the last one. To be called inside the writer gate."""
        owner = 0 if self.gate is None else self.gate.pin_owner
        synced = read_synced(self._home)
        # A slot under our own pid is that of a dead process, and would go when we close.
        if synced is None or owner in (0, os.getpid()) or not _is_pinned(handle, synced.transaction, owner):
            self.finish(handle, self.begin(handle))

    def begin(self, handle: lmdb.Environment) -> tuple[lmdb.Transaction, MetaPages]:
        """The first half, inside the writer gate: a read transaction and the meta pages that lead to its state."""
        reader = handle.begin()
        try:
            return reader, MetaPages.read(self._home, handle.stat()["psize"])
        except BaseException:
            reader.abort()
            raise

    def finish(self, handle: lmdb.Environment, begun: tuple[lmdb.Transaction, MetaPages]) -> bool:
        """The second half, best outside the gate, for it syncs; whether there was anything new to sync."""
        reader, metas = begun
        transaction = reader.id()
        try:
            if transaction == self._transaction and self._pin is not None:
                reader.abort()
                return False
            if not _is_at(read_synced(self._home), transaction):
                handle.sync(True)
            with synced_alone(self._home):
                last = read_synced(self._home)
                if last is not None and last.transaction > transaction and self._is_kept(handle, last):
                    # Somebody was quicker, with a later state, and may have confirmed it: never go back behind it.
                    reader.abort()
                    self.drop_if_superseded()
                    return True
                if not _is_at(last, transaction):
                    sequence = 0 if last is None else last.sequence + 1
                    Synced(sequence, boot_id(), transaction, self._clock.now(), metas).write(self._home)
                before, kept = self._pin, self._kept
                self._hold(handle, reader, transaction)
        except BaseException:
            if self._pin is not reader:
                reader.abort()
            raise
        # Only now: the state before this one was the one to fall back to.
        _let_go(before, kept)
        return True

    def _is_kept(self, handle: lmdb.Environment, synced: Synced) -> bool:
        owner = 0 if self.gate is None else self.gate.pin_owner
        return _is_at(synced, synced.transaction) and _is_pinned(handle, synced.transaction, owner)

    def drop_if_superseded(self) -> bool:
        """Drop the pin when somebody else has made a later sync point; whether this process has none now."""
        if self._pin is not None:
            synced = read_synced(self._home)
            if synced is not None and synced.transaction > self._transaction:
                self.drop()
        return self._pin is None

    def drop(self) -> None:
        """Let go of the pin, and say so to the next writer."""
        pin, self._pin = self._pin, None
        kept, self._kept = self._kept, ()
        if self.gate is not None and self.gate.pin_owner == os.getpid():
            self.gate.pin_owner = 0
        _let_go(pin, kept)

    def _hold(self, handle: lmdb.Environment, reader: lmdb.Transaction, transaction: int) -> None:
        self._pin, self._transaction = reader, transaction
        # The end of the interpreter must not close these: the slot has to stay until the next sync point.
        self._kept = (handle, reader)
        for each in self._kept:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
        if self.gate is not None:
            self.gate.pin_owner = os.getpid()


def _let_go(pin: lmdb.Transaction | None, kept: tuple[object, ...]) -> None:
    if pin is not None:
        pin.abort()
        for each in kept:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(each))


def _is_at(synced: Synced | None, transaction: int) -> bool:
    """Whether this is a sync point at that transaction, made since the machine was started."""
    return synced is not None and synced.transaction == transaction and synced.boot == boot_id()


def _is_pinned(handle: lmdb.Environment, transaction: int, owner: int) -> bool:
    """Whether the reader table has a slot of that process for that transaction. Other readers come and go."""
    for line in handle.readers().splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0] == str(owner) and fields[2] == str(transaction):
            return True
    return False
