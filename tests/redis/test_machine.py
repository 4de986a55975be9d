"""Random sequences of verbs on stores in Redis and on a plain model: they never disagree, and check() stays clean."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from coatcheck.redis import RedisStore
from coatcheck.settings import Settings
from tests.redis.conftest import new_prefix
from tests.store.test_machine import StoreMachine

HOSTS = 2


class RedisMachine(StoreMachine):
    """The same on two hosts that take turns: each verb may be done by either, whatever the other remembers."""

    url: ClassVar[str]

    def opened(self, settings: Settings) -> Any:
        """Two stores under one prefix; the one that works at present."""
        prefix = new_prefix()
        self.hosts = [RedisStore(settings, self.url, prefix=prefix, clock=self.clock) for _ in range(HOSTS)]
        return self.hosts[0]

    @rule(number=st.integers(0, HOSTS - 1))
    def move(self, number: int) -> None:
        """From now on that host works."""
        if hasattr(self, "hosts"):
            self.store: Any = self.hosts[number]

    @invariant()
    def agree(self) -> None:
        """As the model says; what need not be remembered any more is forgotten without a sweep."""
        if hasattr(self, "model"):
            self.model.swept_at = self.now
        super().agree()

    def teardown(self) -> None:
        """All stores are closed."""
        super().teardown()
        for each in getattr(self, "hosts", ()):
            each.close()


@pytest.fixture(autouse=True)
def url_of_the_machine(server_port: int) -> None:
    """Where the machine finds its server."""
    RedisMachine.url = f"redis://127.0.0.1:{server_port}"


# A failure is made small before it is told, which takes a while.
TestRedisMachine = pytest.mark.timeout(600)(RedisMachine.TestCase)
# A budget of about 20 seconds; the long profile keeps its own number of examples.
TestRedisMachine.settings = hypothesis_settings(
    max_examples=max(25, hypothesis_settings().max_examples // 8), stateful_step_count=40, deadline=None
)
