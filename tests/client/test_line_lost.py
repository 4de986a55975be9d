"""The line to a manager that was lost with a request in its hands, and what is known of the request then."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coatcheck.client.line import ManagerLine, _Joined
from coatcheck.client.places import Place
from coatcheck.client.pool import Pool
from coatcheck.errors import RequestTimeout
from coatcheck.messages import Reply, RequestFailed, TakeFlashes
from coatcheck.settings import Settings
from coatcheck.system.wire import Unanswered

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


class Base:
    """A system that was joined."""

    def leave(self) -> None:
        """Nothing is open."""


class Endpoint:
    """One to a manager of which this comes."""

    place: Place | None = None

    def __init__(self, outcome: Exception | Reply) -> None:
        self._outcome = outcome

    def call(self, *_: Any) -> Reply:
        """The reply, or what is raised."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def exit_context(self) -> None:
        """Nothing is open."""


def joined(outcome: Exception | Reply) -> _Joined:
    """A line to such a manager."""
    return _Joined(Base(), None, Pool(lambda: Endpoint(outcome), 1), time.monotonic())


@pytest.mark.parametrize("then", ["nobody is there", "the next one refuses"])
def test_lost_first_and_refused_then_is_unknown(home: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been carried out before the manager ended: else flashes that it took would never be given back."""
    line = ManagerLine(Settings(home=home), logging.getLogger("test"))
    line._joined = joined(Unanswered(waited=False))
    request = TakeFlashes(token="t" * 54, request_id=bytes(16))
    if then == "the next one refuses":
        refusal = RequestFailed(request_id=bytes(16), kind="StoreUnavailable", text="a writer is stopped", evidence={})
        monkeypatch.setattr(line, "_join", lambda _: joined(refusal))

    with pytest.raises(RequestTimeout, match="whether the request was carried out is unknown"):
        line.call(request, time.monotonic() + 5.0, repeatable=True)
