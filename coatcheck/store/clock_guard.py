"""Nothing is swept after the wall clock has jumped, until it has proved itself.

A clock that is set to next year for a minute would end every session for good. So the difference of wall clock and
boot clock is kept in the store; when it changes by more than a minute, the sweep holds until both clocks have run
side by side for ten minutes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.store.opener import boot_id

if TYPE_CHECKING:
    from coatcheck.store.tables import Tables, Transaction

JUMP: Final = 60 * SECOND
"""A change of the difference that counts as a jump, in microseconds."""

PROOF: Final = 600 * SECOND
"""How long the clocks must agree after a jump, in microseconds."""

_KEY: Final = b"clock"
_ROW: Final = struct.Struct(">qqqq")
_LENGTH: Final = _ROW.size


@dataclass(frozen=True)
class ClockState:
    """Whether the wall clock is believed, as somebody sees it who only looks."""

    held: bool
    """Whether nothing is swept, as the clock has jumped."""

    jump: float
    """By how many seconds it has jumped, forward when positive, as far as that is known."""

    trusted_in: float
    """Seconds until it is believed again, if it does not jump once more; 0.0 when it is."""


def look(transaction: Transaction, tables: Tables, now: int, boottime: int) -> ClockState:
    """What ``agrees`` would say now; remembers nothing."""
    stored = transaction.get(_KEY, db=tables.meta)
    if stored is None:
        return ClockState(held=False, jump=0.0, trusted_in=0.0)
    known, held_since, last, held = _ROW.unpack(stored[:_LENGTH])
    if stored[_LENGTH:] != boot_id():
        jumped = now < last - JUMP
        jump = (now - last) / SECOND if jumped else 0.0
        return ClockState(held=jumped, jump=jump, trusted_in=PROOF / SECOND if jumped else 0.0)
    jump = (now - boottime - known) / SECOND
    if abs(jump) * SECOND > JUMP:
        return ClockState(held=True, jump=jump, trusted_in=PROOF / SECOND)
    left = held_since + PROOF - boottime
    return ClockState(held=bool(held) and left > 0, jump=0.0, trusted_in=max(0, left) / SECOND if held else 0.0)


def agrees(transaction: Transaction, tables: Tables, now: int, boottime: int) -> bool:
    """Whether the wall clock may be believed; remembers what it sees."""
    boot = boot_id()
    stored = transaction.get(_KEY, db=tables.meta)
    offset = now - boottime
    if stored is None:
        _put(transaction, tables, boot, offset, 0, now, 0)
        return True
    known, held_since, last, held = _ROW.unpack(stored[:_LENGTH])
    if stored[_LENGTH:] != boot:
        # After a boot the difference says nothing; a wall clock behind what it has been does.
        jumped = now < last - JUMP
        _put(transaction, tables, boot, offset, boottime, now, int(jumped))
        return not jumped
    if abs(offset - known) > JUMP:
        _put(transaction, tables, boot, offset, boottime, now, 1)
        return False
    if held and boottime - held_since < PROOF:
        return False
    if held or now - last > JUMP:
        _put(transaction, tables, boot, offset, 0, now, 0)  # a slow drift is followed
    return True


def trust(transaction: Transaction, tables: Tables, now: int, boottime: int) -> None:
    """Believe the wall clock as it is now: an operator says that it is right."""
    _put(transaction, tables, boot_id(), now - boottime, 0, now, 0)


def _put(transaction: Transaction, tables: Tables, boot: bytes, offset: int, since: int, now: int, held: int) -> None:
    transaction.put(_KEY, _ROW.pack(offset, since, now, held) + boot, db=tables.meta)
