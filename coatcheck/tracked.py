"""A dict that knows what was changed in it and what was handed out, and loads itself when it is first used."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, NoReturn

from coatcheck.changes import Append, Increment
from coatcheck.codec_types import SCALARS
from coatcheck.errors import ChangeRefused
from coatcheck.tracking import SET, Pending, keep_newest

if TYPE_CHECKING:
    from coatcheck.store.record import Record

READY: Final = 0
_MISSING: Final = object()

_get = dict.__getitem__
_put = dict.__setitem__
_has = dict.__contains__


class TrackedDict(dict[str, Any]):
    """Every method that reads or writes makes sure that the data is here, and takes notes.

    Methods of C code that bypass overridden ones find the data from the moment on that it is loaded.
    """

    __slots__ = ("_handed_out", "_pending", "_record", "_state", "accessed")

    accessed: bool
    """Whether anything was read or written."""

    _state: int
    """READY, or a reason for ``_ready`` to be called."""

    _record: Record | None
    _pending: Pending | None
    _handed_out: set[str]

    def _ready(self) -> None:
        """Load, or raise; called while the state is not READY."""
        raise NotImplementedError

    def _changes(self) -> Pending:
        """Where a change is noted."""
        if self._state:
            self._ready()
        self.accessed = True
        pending = self._pending
        if pending is None:
            pending = self._pending = Pending()
        return pending

    def _reads(self) -> None:
        if self._state:
            self._ready()
        self.accessed = True

    def _hand_out_all(self) -> None:
        self._reads()
        self._handed_out.update(key for key, value in dict.items(self) if type(value) not in SCALARS)

    # Reading ---------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if self._state:
            self._ready()
        self.accessed = True
        value = _get(self, key)
        if type(value) not in SCALARS:
            self._handed_out.add(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        if self._state:
            self._ready()
        self.accessed = True
        value = dict.get(self, key, _MISSING)
        if value is _MISSING:
            return default
        if type(value) not in SCALARS:
            self._handed_out.add(key)
        return value

    def __contains__(self, key: object) -> bool:
        self._reads()
        return _has(self, key)

    def __iter__(self) -> Iterator[str]:
        self._reads()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[str]:
        self._reads()
        return dict.__reversed__(self)

    def __len__(self) -> int:
        self._reads()
        return dict.__len__(self)

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """A view of the keys."""
        self._reads()
        return dict.keys(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """A view of the values."""
        self._hand_out_all()
        return dict.values(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """A view of the keys and values."""
        self._hand_out_all()
        return dict.items(self)

    def copy(self) -> dict[str, Any]:
        """The data as a plain dict, which tracks nothing; changes inside its values are still found."""
        return dict(self.items())

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: deepcopy(value, memo) for key, value in self.items()}

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        # A pickle gets the data and neither token nor store: it may go anywhere.
        return dict, (self.copy(),)

    def __eq__(self, other: object) -> bool:
        self._reads()
        if isinstance(other, TrackedDict):
            other._reads()
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        return self.copy() | other if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return other | self.copy() if isinstance(other, dict) else NotImplemented

    # Writing ---------------------------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            _refuse(key)
        self._changes().keys[key] = SET
        _put(self, key, value)

    def __delitem__(self, key: str) -> None:
        pending = self._changes()
        dict.__delitem__(self, key)
        pending.unset(key, self._record)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which gets the default when it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value; the default, or KeyError, when it is missing."""
        pending = self._changes()
        missing = not _has(self, key)
        value = dict.pop(self, key, *default)
        if not missing:
            pending.unset(key, self._record)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        pending = self._changes()
        key, value = dict.popitem(self)
        pending.unset(key, self._record)
        return key, value

    def clear(self) -> None:
        """Remove all keys; flashes, principal and lifetimes stay."""
        pending = self._changes()
        dict.clear(self)
        self._handed_out.clear()
        pending.clear(self._record)

    def update(self, *args: Any, **values: Any) -> None:
        """Set several keys."""
        for key, value in dict(*args, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number; a missing one counts as 0. Parallel increments add up. What it is now, as far as known.

        Raises ChangeRefused (a TypeError) where no number is.
        """
        change = Increment(key, by)
        pending = self._changes()
        have = dict.get(self, key, 0)
        if isinstance(have, bool) or not isinstance(have, (int, float)):
            msg = f"increment({key!r}) needs a number there, but finds {type(have).__name__}: set it first"
            raise ChangeRefused(key, msg)
        _put(self, key, have + by)
        pending.add(key, change)
        return have + by

    def append(self, key: str, item: Any, limit: int | None = None) -> None:
        """Append to a list, of which the newest ``limit`` items are kept. Parallel appends add up.

        Raises ChangeRefused (a TypeError) where no list is.
        """
        change = Append(key, item, limit)
        pending = self._changes()
        have = dict.get(self, key)
        if have is None and not _has(self, key):
            _put(self, key, [item])
        elif not isinstance(have, list):
            msg = f"append({key!r}) needs a list there, but finds {type(have).__name__}: set it first"
            raise ChangeRefused(key, msg)
        else:
            # In place, for those who hold it.
            have[:] = keep_newest([*have, item], limit)
        pending.add(key, change)


def _refuse(key: object) -> NoReturn:
    msg = f"session keys are str, not {type(key).__name__}"
    raise TypeError(msg)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a tracked dict without taking notes."""
    return dict(dict.items(values))  # type: ignore[arg-type]
