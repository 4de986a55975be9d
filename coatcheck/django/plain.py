"""Values that Django's own serializer would have stored as something plainer."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from coatcheck.tracked import plain

_PLAIN: Final = (str, bool, int, float)


def plain_values(session: MutableMapping[str, Any]) -> bool:
    """Put plain types in the place of their subclasses, where a JSON serializer would; whether there were any.

    A member of a ``TextChoices`` becomes its text, a ``SafeString`` a ``str``, a ``defaultdict`` a ``dict``: what an
    application gets back from any other session engine of Django.
    """
    found = {key: plainer for key, value in plain(session).items() if (plainer := _plain(value, set())) is not value}
    for key, value in found.items():
        session[key] = value
    return bool(found)


def _base_of(value: Any) -> Any:
    # The methods of the base: those of an enum answer with its name.
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _plain(value: Any, above: set[int]) -> Any:
    """The value, or a copy of it in plain types; the value itself where it has no others."""
    kind = type(value)
    if isinstance(value, _PLAIN):
        return value if kind in _PLAIN or kind.__module__ == "markupsafe" else _base_of(value)
    if not isinstance(value, (dict, list, tuple)) or id(value) in above:
        return value
    above = {*above, id(value)}
    if isinstance(value, dict):
        pairs = [(key, each, _plain(key, above), _plain(each, above)) for key, each in value.items()]
        same = kind is dict and all(key is new and each is newer for key, each, new, newer in pairs)
        return value if same else {new: newer for _, _, new, newer in pairs}
    items = [_plain(each, above) for each in value]
    if kind in {list, tuple} and all(new is each for new, each in zip(items, value, strict=True)):
        return value
    return tuple(items) if kind is tuple else items
