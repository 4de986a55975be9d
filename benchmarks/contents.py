"""The sessions that every side of a comparison holds: a shop's, in three sizes.

Only types that all serializers in the comparison give back unchanged: text, numbers, booleans, None, lists, dicts
and aware datetimes of whole seconds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, Final

import msgpack

SIZES: Final[Mapping[str, int]] = {"small": 400, "medium": 4_000, "large": 40_000}
"""Bytes of a session as msgpack, by name."""

READ_KEY: Final = "user_id"
"""The key that a load reads first."""

CHANGED_KEY: Final = "last_page"
"""The key that a save has changed."""

VARIANTS: Final = 64
"""Different sessions of one size; more would only cost time while seeding."""

_START: Final = datetime(2026, 3, 1, 8, 0, 0, tzinfo=timezone.utc)
_WORDS: Final = (
    "linen wool cotton leather shirt coat scarf jacket boots gloves blue green black red small medium large "
    "winter summer classic slim fit waxed lined hooded light heavy organic recycled limited edition"
).split()


def principal(index: int) -> str:
    """The user of session number ``index``."""
    return f"user-{index}"


def content(size: str, index: int) -> dict[str, Any]:
    """The data of session number ``index``; the same arguments give equal data in every process."""
    data = dict(_variant(size, index % VARIANTS))
    data[READ_KEY] = principal(index)
    return data


def packed_size(data: Mapping[str, Any]) -> int:
    """Bytes of ``data`` as plain msgpack."""
    return len(msgpack.packb(dict(data), datetime=True))


@cache
def _variant(size: str, number: int) -> dict[str, Any]:
    chance = random.Random(f"{size}-{number}")
    data: dict[str, Any] = {
        READ_KEY: principal(number),
        "logged_in_at": _START + timedelta(seconds=number),
        "csrf_token": f"{chance.getrandbits(256):064x}",
        "lang": chance.choice(["en", "de", "pt-BR", "ja"]),
        "theme": "dark" if number % 2 else "light",
        CHANGED_KEY: f"/product/{chance.randrange(100_000)}",
        "visits": chance.randrange(1, 400),
        "newsletter": number % 3 == 0,
        "coupon": None,
        "cart": [_line(chance)],
    }
    growing: list[tuple[str, Any]] = [("cart", _line), ("recently_viewed", _viewed), ("drafts", _draft)]
    # What is added last is 90 bytes or more: stop as near to the size as that allows.
    while packed_size(data) < SIZES[size] - 45:
        key, make = growing[0]
        data.setdefault(key, []).append(make(chance))
        growing.append(growing.pop(0))
        if size == "small":
            # A small session has a cart and nothing else that grows.
            growing = [("cart", _line)]
    return data


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(words))


def _line(chance: random.Random) -> dict[str, Any]:
    return {
        "sku": f"SKU-{chance.randrange(10**6):06d}",
        "name": _text(chance, 3),
        "quantity": chance.randrange(1, 5),
        "price": chance.randrange(100, 20_000) / 100,
    }


def _viewed(chance: random.Random) -> dict[str, Any]:
    return {
        "sku": f"SKU-{chance.randrange(10**6):06d}",
        "at": _START + timedelta(seconds=chance.randrange(86_400)),
        "from": chance.choice(["search", "category", "mail", None]),
        "colours": [chance.choice(_WORDS) for _ in range(3)],
    }


def _draft(chance: random.Random) -> dict[str, Any]:
    return {"form": chance.choice(["review", "contact", "address"]), "fields": {"text": _text(chance, 20), "step": 2}}
