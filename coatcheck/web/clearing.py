"""``Clear-Site-Data``: the response to a logout has the browser forget what it kept of the pages (ASVS 14.3.1).

The session and its cookie end without it. This is about the rest: the pages in the cache, which the back button shows,
and what scripts have stored.
"""

from __future__ import annotations

from typing import Any, Final

from coatcheck.errors import ConfigurationError

CLEAR_SITE_DATA: Final = "Clear-Site-Data"
USUAL: Final = ("cache", "storage")
"""Not ``cookies``: the session's is removed anyway, and browsers would drop the new one that a goodbye has begun."""

_KNOWN: Final = {
    each.lower(): each
    for each in ("cache", "cookies", "storage", "executionContexts", "clientHints", "prefetchCache", "prerenderCache")
}
_ALL: Final = "*"


def clear_site_data(value: Any) -> str | None:
    """The value of the header for what a setting says; None: there is to be none.

    ``value``: None or False for none; True for ``cache`` and ``storage``; or names of the directives, as a list or as
    text with commas. ``*`` is all that the browser knows. Raises ConfigurationError for anything else.
    """
    if value is None or value is False:
        return None
    names = USUAL if value is True else value.replace('"', "").split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)) or not names:
        raise _wrong(value)
    found = []
    for name in names:
        text = name.strip() if isinstance(name, str) else ""
        known = _ALL if text == _ALL else _KNOWN.get(text.lower())
        if known is None:
            raise _wrong(value)
        found.append(known)
    return ", ".join(f'"{each}"' for each in found)


def _wrong(value: object) -> ConfigurationError:
    return ConfigurationError(
        f"clear_site_data is {value!r}: use True for {' and '.join(USUAL)}, or a list of {', '.join(_KNOWN.values())}; "
        f"{_ALL!r} for all"
    )
