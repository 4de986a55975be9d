"""Hosts: each a state directory with copies, all of them on one server, under a prefix that no other test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coatcheck.redis import RedisStore
from coatcheck.redis.shared.copies import Copies
from coatcheck.redis.shared.follower import Follower
from coatcheck.redis.shared.store import CachedStore
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.conftest import new_prefix


@dataclass
class Host:
    """A host: its store, and who follows for it when the test says so."""

    store: CachedStore
    follower: Follower

    def hear(self) -> None:
        """Hear all there is, and read all again that has to be."""
        while self.follower.step().behind:
            pass


MakeHost = Callable[..., Host]


def host_at(home: Path, url: str, prefix: str, clock: Any, **settings: Any) -> Host:
    """A host in this process."""
    known = {"home": home, "secrets": StoreContract.secrets, **settings}
    local = Copies(Settings(**known), clock=clock, background=False)
    store = CachedStore(local, RedisStore(Settings(**known), url, prefix=prefix, clock=clock))
    return Host(store, Follower(local, store.verbs, store.shared.driver))


@pytest.fixture
def make_host(server_port: int, tmp_path: Path, clock: FakeClock) -> Iterator[MakeHost]:
    """Makes hosts that share their sessions."""
    prefix = new_prefix()
    with ExitStack() as opened:
        made = 0

        def make(*, url: str | None = None, **settings: Any) -> Host:
            nonlocal made
            made += 1
            host = host_at(
                tmp_path / f"host-{made}", url or f"redis://127.0.0.1:{server_port}", prefix, clock, **settings
            )
            opened.callback(host.store.close)
            return host

        yield make


@pytest.fixture
def hosts(make_host: MakeHost) -> tuple[Host, Host]:
    """Two of them, both live."""
    one, other = make_host(), make_host()
    one.hear()
    other.hear()
    return one, other
