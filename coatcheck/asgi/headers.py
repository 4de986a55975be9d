"""Headers as ASGI has them: pairs of bytes."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from coatcheck.web.secure import is_loopback

if TYPE_CHECKING:
    from coatcheck.web.settling import Headers

Pairs = Iterable[tuple[bytes, bytes]]


def value_of(scope: MutableMapping[str, Any], name: bytes, separator: str = ", ") -> str | None:
    """The value of a request's header; several are joined, as HTTP/2 splits ``Cookie``."""
    found = [value.decode("latin-1") for key, value in scope.get("headers") or () if key.lower() == name]
    return separator.join(found) if found else None


def texts(pairs: Pairs, name: str) -> list[str]:
    """The values of all headers of that name."""
    wanted = name.lower().encode("latin-1")
    return [bytes(value).decode("latin-1") for key, value in pairs if bytes(key).lower() == wanted]


def with_headers(pairs: Pairs, added: Headers, replaced: set[str]) -> list[tuple[bytes, bytes]]:
    """The headers with those that were added, and without those that they replace."""
    kept = [(bytes(key), bytes(value)) for key, value in pairs if bytes(key).decode("latin-1").lower() not in replaced]
    return kept + [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in added]


def came_over_http(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request came over plain http, and not to this machine."""
    return scope.get("scheme", "http") in ("http", "ws") and not is_loopback(value_of(scope, b"host") or "")
