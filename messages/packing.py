"""How a message crosses from one process to another: its name and msgpack bytes, never a pickled object.

A message pickles as ``(restore, (name, packed))``. So an unpickler needs to know one function of coatcheck and no
class, and what a peer sends can become nothing but one of the messages listed in ``coatcheck.messages``, with as many
fields as that has, each of the type that it declares. The annotation of a field is its encoding; see
:data:`coatcheck.messages.coding.CODINGS`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgpack

from coatcheck.errors import CoatcheckError
from coatcheck.messages.coding import CODINGS, Read, Write

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:  # pragma: no cover - typing has it from Python 3.11 on; only type checkers need it

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        """Do nothing at run time."""
        return lambda decorator: decorator


_SURROGATES: Final = "surrogatepass"
_Class = TypeVar("_Class", bound="type[Message]")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def message(cls: _Class) -> _Class:
    """Make a message class: a frozen, slotted, keyword-only dataclass that shows no content."""
    made: Any = dataclass(frozen=True, slots=True, kw_only=True, repr=False)(cls)
    return made  # type: ignore[no-any-return]


def new_request_id() -> bytes:
    """16 random bytes."""
    return os.urandom(16)


@message
class Message:
    """Anything that one actor says to another."""

    request_id: bytes = field(default_factory=new_request_id)
    """16 random bytes; a reply repeats those of its request."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request_id[:4].hex()}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Callable[[str, bytes], Message], tuple[str, bytes]]:
        return restore, (type(self).__name__, pack(self))


@message
class Request(Message):
    """A message that asks for something."""

    deadline: float | None = None
    """``time.monotonic()`` seconds of this host after which nobody waits: then it is not carried out. None: never."""


@message
class QuietRequest(Request):
    """A request that is answered only when ``confirm`` is set, so that it can be sent by ``tell``.

    An answer to a ``tell`` would surface in the next ``ask`` of that process.
    """

    confirm: bool = False
    """Whether to answer."""


@message
class Reply(Message):
    """The answer to the request with the same ``request_id``."""


class _Layout:
    """What has to be done to one class of messages, looked up once."""

    __slots__ = ("names", "reads", "type", "writes")

    def __init__(self, cls: type[Message]) -> None:
        declared = fields(cls)
        for each in declared:
            if each.type not in CODINGS:
                msg = f"{cls.__name__}.{each.name}: there is no encoding for {each.type!r}"
                raise TypeError(msg)
        self.type = cls
        self.names = [each.name for each in declared]
        self.writes: list[tuple[str, Write]] = [(each.name, CODINGS[str(each.type)].write) for each in declared]
        # The slots' own setters: frozen classes refuse all others.
        self.reads: list[tuple[Callable[[Any, Any], None], Read]] = [
            (getattr(cls, each.name).__set__, CODINGS[str(each.type)].read) for each in declared
        ]


_layouts: dict[str, _Layout] = {}


def _layout(name: str) -> _Layout:
    home = importlib.import_module("coatcheck.messages")
    cls = getattr(home, name) if name in home.__all__ else None
    if not (isinstance(cls, type) and issubclass(cls, Message)):
        msg = f"there is no message called {name!r}: the two processes run different versions of coatcheck"
        raise ValueError(msg)  # noqa: TRY004 - it is what was said that is wrong
    layout = _layouts[name] = _Layout(cls)
    return layout


def pack(sent: Message) -> bytes:
    """The fields of a message as msgpack bytes.

    Raises TypeError that names the field for a value of another type, UnstorableValue for data that cannot be kept.
    """
    name = type(sent).__name__
    layout = _layouts.get(name) or _layout(name)
    values: list[Any] = []
    for attribute, write in layout.writes:
        try:
            values.append(write(getattr(sent, attribute)))
        except (TypeError, AttributeError) as error:
            if type(error) not in (TypeError, AttributeError):
                raise
            msg = f"{name}.{attribute}: {error}"
            raise TypeError(msg) from None
    packed: bytes = msgpack.packb(values, unicode_errors=_SURROGATES)
    return packed


def restore(name: str, packed: bytes) -> Message:
    """The message of that name with these fields. Raises ValueError for anything that is not one."""
    layout = _layouts.get(name) or _layout(name)
    try:
        values: Sequence[Any] = msgpack.unpackb(packed, unicode_errors=_SURROGATES)
        reads = layout.reads
        if type(values) is not list or len(values) != len(reads):
            msg = f"{name} has {len(reads)} fields: the two processes run different versions of coatcheck"
            raise ValueError(msg)
        made: Message = object.__new__(layout.type)
        for (put, read), value in zip(reads, values, strict=True):
            put(made, read(value))
    except (TypeError, ValueError, KeyError, CoatcheckError, msgpack.UnpackException) as error:
        msg = f"{name} cannot be read: {type(error).__name__}"
        raise ValueError(msg) from error
    return made
