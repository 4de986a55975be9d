"""Old pickles, read with nothing but plain types let through."""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from coatcheck.adopt.source import Unreadable

_ALLOWED: Final = frozenset(
    {
        *(
            (module, name)
            for module in ("builtins", "__builtin__")
            for name in ("set", "frozenset", "bytearray", "complex")
        ),
        *(("datetime", name) for name in ("datetime", "date", "time", "timedelta", "timezone")),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
        ("uuid", "SafeUUID"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("builtins", "dict"),
        ("builtins", "list"),
        ("builtins", "tuple"),
        ("markupsafe", "Markup"),
        ("_codecs", "encode"),
    }
)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            msg = f"a pickle that names {module}.{name}, which is no plain type"
            raise Unreadable(msg)
        return super().find_class(module, name)


def unpickle(packed: bytes) -> Any:
    """The value of a pickle of plain types. Raises Unreadable for anything else, and for what is no pickle."""
    try:
        return _Plain(io.BytesIO(packed)).load()
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 - what a damaged pickle raises is anybody's guess
        msg = f"a pickle that cannot be read ({type(error).__name__})"
        raise Unreadable(msg) from None
