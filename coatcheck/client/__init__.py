"""How an application reaches the store: :func:`connect` and the :class:`SessionClient` it answers."""

from __future__ import annotations

from coatcheck.client.client import SessionClient, connect

__all__ = ["SessionClient", "connect"]
