"""Flashes that a request has taken and could not show, while the actor system is away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import coatcheck
from coatcheck import FlashMessage
from coatcheck.errors import StoreUnavailable
from tests.system.running import RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def test_what_was_taken_is_given_back_when_the_system_is_there_again(home: Path) -> None:
    """A request takes, then its commit fails with the system: the flashes come back with it, once."""
    flashes = [FlashMessage.info("one"), FlashMessage.info("two")]
    with coatcheck.connect(home, lane="actor") as client:
        with RunningSystem(home):
            token, _ = client.create({"a": 1}, flashes=flashes)
            session = client.open(token)
            assert session.take_flashes() == flashes
            session["b"] = 2
        with pytest.raises(StoreUnavailable):
            session.commit()
        session.abandon()

        with RunningSystem(home):
            assert until(lambda: client.take_flashes(token)[1], "they do not come back") == flashes
            assert client.take_flashes(token)[1] == []
