"""How the fields of messages are written as msgpack and read again: one coding for each annotation that is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, fields
from typing import Any, Final, NamedTuple

from coatcheck import changes as kinds
from coatcheck.codec import pack, unpack
from coatcheck.errors import UnstorableValue
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import CheckReport, CleanupReport, Problem, SessionInfo, StoreStats
from coatcheck.store.record import Record

Write = Callable[[Any], Any]
Read = Callable[[Any], Any]


class Coding(NamedTuple):
    """Two functions. Both raise TypeError or ValueError for what does not belong into the field."""

    write: Write
    read: Read


def _plain(*types: type, optional: bool = False) -> Coding:
    """What msgpack has itself. A bool is no number here."""
    allowed = frozenset({*types, type(None)} if optional else types)

    def check(value: Any) -> Any:
        if type(value) in allowed:
            return value
        names = " or ".join(sorted(each.__name__ for each in allowed))
        msg = f"takes {names}, not {type(value).__name__}"
        raise TypeError(msg)

    return Coding(check, check)


def _optional(coding: Coding) -> Coding:
    return Coding(
        lambda value: None if value is None else coding.write(value),
        lambda wire: None if wire is None else coding.read(wire),
    )


def _many(coding: Coding) -> Coding:
    def write(values: Any) -> list[Any]:
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            msg = f"takes a sequence, not {type(values).__name__}"
            raise TypeError(msg)
        return [coding.write(each) for each in values]

    def read(wire: Any) -> tuple[Any, ...]:
        if type(wire) is not list:
            msg = f"takes a list, not {type(wire).__name__}"
            raise TypeError(msg)
        return tuple([coding.read(each) for each in wire])

    return Coding(write, read)


def _write_mapping(value: Any) -> bytes:
    if not isinstance(value, Mapping):
        msg = f"takes a mapping, not {type(value).__name__}"
        raise TypeError(msg)
    values = value if type(value) is dict else dict(value)
    try:
        return pack(values)
    except UnstorableValue:
        for key, each in values.items():
            pack(each, str(key))  # raises the same, with the path that the store itself would name
        raise


def _read_mapping(wire: Any) -> dict[str, Any]:
    value = unpack(wire)
    if type(value) is not dict:
        msg = "takes a mapping"
        raise TypeError(msg)
    return value


def _write_flash(flash: Any) -> list[Any]:
    if not isinstance(flash, FlashMessage):
        msg = f"takes a FlashMessage, not {type(flash).__name__}"
        raise TypeError(msg)
    return [flash.level, pack(flash.message, "flash"), flash.title]


def _read_flash(wire: Any) -> FlashMessage:
    level, message, title = wire
    return FlashMessage(level, unpack(message), title)


def _write_lifetimes(lifetimes: Any) -> list[Any]:
    if not isinstance(lifetimes, Lifetimes):
        msg = f"takes Lifetimes, not {type(lifetimes).__name__}"
        raise TypeError(msg)
    return [lifetimes.idle, lifetimes.absolute, lifetimes.touch_interval]


def _read_lifetimes(wire: Any) -> Lifetimes:
    idle, absolute, touch_interval = wire
    return Lifetimes(idle=idle, absolute=absolute, touch_interval=touch_interval)


_CHANGES: Final[dict[type, tuple[Write, Read]]] = {
    kinds.Set: (lambda it: [it.key, pack(it.value, it.key)], lambda wire: kinds.Set(wire[0], unpack(wire[1]))),
    kinds.Unset: (lambda it: [it.key], lambda wire: kinds.Unset(*wire)),
    kinds.Clear: (lambda _: [], lambda wire: kinds.Clear(*wire)),
    kinds.Increment: (lambda it: [it.key, pack(it.by)], lambda wire: kinds.Increment(wire[0], unpack(wire[1]))),
    kinds.Append: (
        lambda it: [it.key, pack(it.item, it.key), it.limit],
        lambda wire: kinds.Append(wire[0], unpack(wire[1]), wire[2]),
    ),
    kinds.SetLifetimes: (
        lambda it: [_write_lifetimes(it.lifetimes)],
        lambda wire: kinds.SetLifetimes(_read_lifetimes(wire[0])),
    ),
    kinds.PushFlash: (lambda it: [_write_flash(it.flash)], lambda wire: kinds.PushFlash(_read_flash(wire[0]))),
    kinds.ReplaceFlashes: (
        lambda it: [_write_flash(each) for each in it.flashes],
        lambda wire: kinds.ReplaceFlashes(tuple(_read_flash(each) for each in wire)),
    ),
    kinds.DropIfEmpty: (lambda _: [], lambda wire: kinds.DropIfEmpty(*wire)),
}
_CHANGE_NAMED: Final = {kind.__name__: read for kind, (_, read) in _CHANGES.items()}


def _write_change(change: Any) -> list[Any]:
    known = _CHANGES.get(type(change))
    if known is None:
        names = ", ".join(sorted(_CHANGE_NAMED))
        msg = f"takes changes ({names}), not {type(change).__name__}"
        raise TypeError(msg)
    return [type(change).__name__, known[0](change)]


def _read_change(wire: Any) -> Any:
    name, parts = wire
    return _CHANGE_NAMED[name](parts)


def _write_record(record: Any) -> bytes:
    wire: bytes = record.to_wire()
    return wire


def _read_record(wire: Any) -> Record:
    return Record.from_wire(wire)


def _report(cls: type, **parts: Coding) -> Coding:
    """A flat dataclass of the contract: its fields in order; those that msgpack cannot have by their own coding."""
    names = [each.name for each in fields(cls)]
    same = Coding(lambda value: value, lambda wire: wire)
    codings = [parts.get(name, same) for name in names]

    def write(value: Any) -> list[Any]:
        if type(value) is not cls:
            msg = f"takes a {cls.__name__}, not {type(value).__name__}"
            raise TypeError(msg)
        return [coding.write(getattr(value, name)) for name, coding in zip(names, codings, strict=True)]

    def read(wire: Any) -> Any:
        return cls(*[coding.read(each) for coding, each in zip(codings, wire, strict=True)])

    return Coding(write, read)


_mapping: Final = Coding(_write_mapping, _read_mapping)
_info: Final = _report(SessionInfo, meta=_mapping)
_problem: Final = Coding(astuple, lambda wire: Problem(*wire))

CODINGS: Final[dict[str, Coding]] = {
    "str": _plain(str),
    "str | None": _plain(str, optional=True),
    "bytes": _plain(bytes),
    "bool": _plain(bool),
    "int": _plain(int),
    "int | None": _plain(int, optional=True),
    "float": _plain(float, int),
    "float | None": _plain(float, int, optional=True),
    "Mapping[str, Any]": _mapping,
    "Mapping[str, Any] | None": _optional(_mapping),
    "Sequence[Mapping[str, Any]]": _many(_mapping),
    "Record": Coding(_write_record, _read_record),
    "FlashMessage": Coding(_write_flash, _read_flash),
    "Sequence[FlashMessage]": _many(Coding(_write_flash, _read_flash)),
    "Sequence[AnyChange]": _many(Coding(_write_change, _read_change)),
    "Lifetimes | None": _optional(Coding(_write_lifetimes, _read_lifetimes)),
    "Sequence[SessionInfo]": _many(_info),
    "CleanupReport": _report(CleanupReport),
    "StoreStats": _report(StoreStats, counters=_mapping),
    "CheckReport": _report(CheckReport, problems=_many(_problem), sealed=_mapping, sealed_events=_mapping),
}
"""By annotation, as it is written in the message classes."""
