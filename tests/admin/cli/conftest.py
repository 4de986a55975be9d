"""A store with the sessions of two users and of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck import FlashMessage
from coatcheck.client import SessionClient, connect

PHONE = {"label": "my phone", "ip": "10.0.0.7", "user_agent": "Firefox\x1b[2J"}


class Shop:
    """An application's sessions, by name, and all tokens that were ever issued."""

    def __init__(self, client: SessionClient) -> None:
        self.client = client
        self.tokens: list[str] = []
        self.sids: dict[str, str] = {}
        self.ann, self.other, self.bob, self.guest = (
            self.add(name, principal)
            for name, principal in (("ann", "ann"), ("other", "ann"), ("bob", "bob"), ("guest", None))
        )
        client.add_flash(self.ann, FlashMessage.info("the-flash-of-ann"))

    def add(self, name: str, principal: str | None) -> str:
        """A session; its token."""
        data = {"cart": ["the-secret-data"], "when": 1}
        token, record = self.client.create(data, principal=principal, meta=PHONE)
        self.tokens.append(token)
        self.sids[name] = record.sid
        return token

    def handle(self, name: str) -> str:
        """Its first digits."""
        return self.sids[name][:8]


@pytest.fixture
def shop(home: Path) -> Iterator[Shop]:
    """An application with its store open."""
    with connect(home) as client:
        yield Shop(client)
