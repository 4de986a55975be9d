"""What applications note about a session, as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coatcheck.codec import pack, unpack
from coatcheck.errors import SessionTooLarge
from coatcheck.store.arguments import check_mapping
from coatcheck.store.base import MAX_META

_META: Final = "meta"


def pack_meta(meta: Mapping[str, Any] | None) -> bytes:
    """Raises UnstorableValue, SessionTooLarge, and TypeError for no mapping and for keys that are not str."""
    check_mapping(_META, meta)
    if not meta:
        return b""
    for key in meta:
        if not isinstance(key, str):
            msg = f"meta keys are str, not {type(key).__name__}"
            raise TypeError(msg)
    packed = pack(dict(meta), _META)
    if len(packed) > MAX_META:
        raise SessionTooLarge(_META, len(packed), MAX_META)
    return packed


def merged_meta(packed: bytes, meta: Mapping[str, Any] | None) -> bytes:
    """What was noted, with more. Raises as ``pack_meta``."""
    if not meta:
        return packed
    return pack_meta({**(unpack(packed) if packed else {}), **meta})
