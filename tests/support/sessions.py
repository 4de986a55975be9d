"""What the store has, for tests of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coatcheck.client import SessionClient

if TYPE_CHECKING:
    from coatcheck.store.record import Record

START: Final[dict[str, Any]] = {"a": 1, "list": [1, 2], "map": {"x": {"y": 1}}, "z": None}
"""Some data to begin with."""


def record(client: SessionClient, token: str | None) -> Record:
    """The live record."""
    assert token is not None
    found = client.load(token, touch=False)
    assert found is not None
    return found


def data(client: SessionClient, token: str | None) -> dict[str, Any]:
    """Its data."""
    return record(client, token).values()


def row(client: SessionClient, token: str | None) -> bytes:
    """The record as it lies in the store."""
    return record(client, token).to_wire()


def texts(flashes: Any) -> list[str]:
    """The messages of flashes."""
    return [flash.message for flash in flashes]
