"""What is wrong with a Redis is said plainly, each thing by its name and with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from coatcheck.clock import SystemClock
from coatcheck.errors import ConfigurationError
from coatcheck.redis import RedisStore, findings
from coatcheck.redis.calls import Ask
from coatcheck.redis.connecting import client_of
from coatcheck.redis.driver import Driver
from coatcheck.redis.duty import Watch
from coatcheck.redis.layout import Layout
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.conftest import new_prefix
from tests.support import redis_servers


@pytest.fixture(scope="module")
def good_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server as it should be, but for what a test does to it."""
    with redis_servers.server(tmp_path_factory.mktemp("good"), "--appendonly", "yes") as port:
        yield port


@pytest.fixture
def good(good_port: int) -> Iterator[redis.Redis]:
    """A client that can ill-treat it; put right afterwards."""
    with redis.Redis(port=good_port) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
        client.replicaof("NO", "ONE")


def found_at(url: str, *, mode: str = "standby", clock: Any = None, prefix: str = "coatcheck") -> dict[str, Any]:
    """The findings by their code."""
    driver = Driver(lambda: client_of(url, {}))
    try:
        now = SystemClock.now() if clock is None else clock.now()
        return {each.code: each for each in driver.run(findings.look(Layout(prefix), mode, now))}
    finally:
        driver.close()


def test_nothing_is_wrong(good_port: int, good: Any) -> None:
    """A server with an append-only file and without eviction; the probe leaves nothing behind."""
    assert found_at(f"redis://127.0.0.1:{good_port}") == {}
    assert good.keys("coatcheck:*") == []


@pytest.mark.parametrize("protocol", [2, 3])
def test_eviction_and_no_persistence(good_port: int, good: redis.Redis, protocol: int) -> None:
    """Both lose sessions; without snapshots all of them, which is worse."""
    url = f"redis://127.0.0.1:{good_port}?protocol={protocol}"
    good.config_set("maxmemory-policy", "allkeys-lru")
    good.config_set("appendonly", "no")
    found = found_at(url)

    assert set(found) == {"eviction", "persistence"}
    assert found["eviction"].severe
    assert "set noeviction" in found["eviction"].text
    assert found["persistence"].severe
    assert "appendonly yes" in found["persistence"].text

    good.config_set("save", "3600 1")
    found = found_at(url)
    good.config_set("save", "")
    assert not found["persistence"].severe
    assert "since the last snapshot" in found["persistence"].text


def test_a_replica(good_port: int, good: Any) -> None:
    """It cannot be written to."""
    good.replicaof("127.0.0.1", 1)

    assert found_at(f"redis://127.0.0.1:{good_port}")["replica"].severe


def test_a_clock_that_is_off(good_port: int) -> None:
    """More than five seconds, either way."""
    for step, word in ((6, "ahead of"), (-7, "behind")):
        clock = FakeClock(now=SystemClock.now())
        clock.step(step)
        assert word in found_at(f"redis://127.0.0.1:{good_port}", clock=clock)["clock"].text
    clock = FakeClock(now=SystemClock.now())
    clock.step(3)
    assert "clock" not in found_at(f"redis://127.0.0.1:{good_port}", clock=clock)


def test_rights_that_are_missing(good_port: int, good: Any) -> None:
    """The first command that a script may not run is named; INFO is missed, but not needed."""
    good.execute_command("ACL", "SETUSER", "weak", "on", ">weak", "~coatcheck:*", "+@all", "-zadd", "-@admin", "-info")
    found = found_at(f"redis://weak:weak@127.0.0.1:{good_port}")

    assert found["acl"].severe
    assert "ZADD" in found["acl"].text
    assert not found["unknown"].severe
    good.execute_command("ACL", "SETUSER", "weak", "-@scripting")
    assert "script cannot be run" in found_at(f"redis://weak:weak@127.0.0.1:{good_port}")["acl"].text


def test_an_old_server() -> None:
    """Before 6.2 commands are missing."""
    flow = findings.look(Layout("coatcheck"), "standby", 0)
    next(flow)
    asked = flow.send([{}])
    assert isinstance(asked, Ask)
    assert asked.name == "INFO"
    assert flow.send([{"redis_version": "6.0.16", "aof_enabled": 1}]) == Ask("TIME")
    with pytest.raises(StopIteration) as end:
        flow.send([(0, 0)])

    assert [(each.code, each.severe) for each in end.value.value] == [("version", True)]


def test_a_cluster(cluster_ports: list[int]) -> None:
    """Every master is looked at."""
    found = found_at(f"redis+cluster://127.0.0.1:{cluster_ports[0]}")
    assert set(found) == {"persistence"}
    with redis.Redis(port=cluster_ports[2]) as last:
        last.config_set("maxmemory-policy", "volatile-lru")
        found = found_at(f"redis+cluster://127.0.0.1:{cluster_ports[0]}")
        last.config_set("maxmemory-policy", "noeviction")
    assert set(found) == {"persistence", "eviction"}


def test_another_mode(server_port: int, tmp_path: Path) -> None:
    """What one mode has made the other does not touch: both are named, and it is a finding too."""
    prefix, url = new_prefix(), f"redis://127.0.0.1:{server_port}"
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    with RedisStore(settings, url, prefix=prefix) as store:
        store.create({})
    watch = Watch(Settings(home=tmp_path / "b", secrets=StoreContract.secrets, redis="standby", redis_url=url,
                           redis_prefix=prefix))  # fmt: skip
    with pytest.raises(ConfigurationError, match="has redis='shared', but redis='standby' was asked for"):
        watch.step()
    assert [each.code for each in watch.findings if each.severe and each.code == "mode"] == ["mode"]
    watch.close()


def test_a_copy_is_not_written_to_by_hand(server_port: int, tmp_path: Path) -> None:
    """A RedisStore is refused what a standby host keeps there, unless it says that it knows."""
    prefix, url = new_prefix(), f"redis://127.0.0.1:{server_port}"
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets, redis="standby", redis_url=url,
                        redis_prefix=prefix)  # fmt: skip
    watch = Watch(settings)
    assert watch.step() == 1.0
    assert watch.signals()["reachable"]
    watch.close()
    plain = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    with RedisStore(plain, url, prefix=prefix) as store, pytest.raises(ConfigurationError, match="has redis='standby'"):
        store.create({})
    with RedisStore(settings, url, prefix=prefix) as store:
        assert store.stats().sessions == 0
