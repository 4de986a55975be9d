"""A backup of a store in Redis is a state directory, which a host without Redis goes on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.errors import ConfigurationError
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.conftest import MakeRedisStore

USER = "someone"


@pytest.mark.parametrize("secrets", [StoreContract.secrets, None])
def test_a_backup_is_a_store(
    make_store: MakeRedisStore, clock: FakeClock, tmp_path: Path, secrets: tuple[str, ...] | None
) -> None:
    """All live sessions are in it, by the same tokens, with everything they have; the secret too where it is a file."""
    store = make_store(secrets=secrets, max_flashes=50)
    flash = FlashMessage.info("hi")
    token, _ = store.create({"small": 1, "blob": b"x" * 20_000}, principal=USER, flashes=[flash], meta={"ip": "::1"})
    renewed, record = store.rotate(token, grace=60.0, changes=[Set("n", 2)])
    assert renewed is not None
    ended, _ = store.create({})
    store.delete(ended)
    many = [store.create({"n": number})[0] for number in range(120)]

    store.backup(tmp_path / "copy")

    copy = LmdbStore(Settings(home=tmp_path / "copy", secrets=secrets), clock=clock)
    try:
        assert copy.check().problems == ()
        assert copy.stats().sessions == 1 + len(many)
        for each in (token, renewed):
            found = copy.load(each)
            assert found is not None
            assert found.data == record.data
            assert (found.sid, found.version, found.principal) == (record.sid, record.version, USER)
            assert (found.flashes, found.meta, found.expires_at) == ([flash], {"ip": "::1"}, record.expires_at)
        assert [each.sid for each in copy.sessions_of(USER)] == [record.sid]
        assert copy.load(ended) is None
        assert None not in [copy.load(each) for each in many]
        assert copy.save(renewed, [Set("n", 3)]).version == record.version + 1
        clock.advance(Lifetimes().idle or 0)
        clock.advance(86_400)
        while copy.sweep().more:
            pass
        assert copy.stats().sessions == 0
        assert copy.check().problems == ()
    finally:
        copy.close()


def test_a_backup_takes_no_place_of_another(make_store: MakeRedisStore, tmp_path: Path) -> None:
    """A directory with something in it is left as it is."""
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").write_text("x")

    with pytest.raises(ConfigurationError, match="other files"):
        make_store().backup(tmp_path / "copy")

    assert [each.name for each in (tmp_path / "copy").iterdir()] == ["precious"]
