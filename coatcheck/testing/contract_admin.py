"""For the administrator: scan, stats, check, sync, backup, close."""

from __future__ import annotations

from pathlib import Path

from coatcheck.changes import Set
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import CheckReport, SessionStore, StoreStats
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase


class AdminContract(ContractBase):
    """What looks at the whole store."""

    def test_scan_pages_through_all_sessions(self, store: SessionStore) -> None:
        """Pages of any size put together are all live sessions, each once, in the order of their sid."""
        made = {store.create({"n": number})[1].sid for number in range(250)}
        whole = [each.sid for each in store.scan()]
        assert made <= set(whole)
        assert whole == sorted(set(whole))

        for size in (7, 100, 100_000):
            paged: list[str] = []
            while page := [each.sid for each in store.scan(after=paged[-1] if paged else None, limit=size)]:
                assert len(page) <= size
                paged.extend(page)
            assert paged == whole

    def test_scan_shows_the_living(self, store: SessionStore, clock: FakeClock) -> None:
        """What has ended is in no scan, swept or not; infos are those of the principal's list."""
        user = self.someone()
        _, expired = store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
        deleted, gone = store.create({})
        store.create({"a": 1, "b": 2}, principal=user, meta={"label": "phone"}, lifetimes=HOUR)
        store.delete(deleted)
        clock.advance(60)

        scanned = {each.sid: each for each in store.scan()}

        assert expired.sid not in scanned
        assert gone.sid not in scanned
        [mine] = store.sessions_of(user)
        assert scanned[mine.sid] == mine

    def test_writing_during_a_scan(self, store: SessionStore) -> None:
        """A scan that is read slowly holds nothing: others write meanwhile, and it goes on."""
        made = {store.create({"n": number})[1].sid for number in range(10)}
        scan = store.scan()
        seen = [next(scan).sid]

        token, _ = store.create({})
        store.save(token, [Set("a", 1)])
        store.delete(token)
        seen.extend(each.sid for each in scan)

        assert made <= set(seen)
        assert seen == sorted(set(seen))

    def test_stats_count(self, store: SessionStore, clock: FakeClock) -> None:
        """Sessions, principals and what is due are counted as they are."""
        self.sweep_all(store)
        before = store.stats()
        assert isinstance(before, StoreStats)
        assert (before.due, before.oldest_due) == (0, 0.0)

        store.create({}, lifetimes=HOUR)
        store.create({}, principal=self.someone(), lifetimes=HOUR)
        short, _ = store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
        after = store.stats()

        assert after.sessions == before.sessions + 3
        assert after.principals == before.principals + 1
        assert after.tokens >= before.tokens + 3
        assert 0 < after.used_bytes <= after.map_bytes
        assert after.file_bytes > 0
        assert after.durability in {"second", "commit"}
        assert store.delete(short)
        assert store.stats().sessions == before.sessions + 2

    def test_check_reads_everything(self, store: SessionStore) -> None:
        """A check says how many sessions it has read, and is clean when nothing is wrong."""
        token, _ = store.create({"blob": b"x" * 20_000}, principal=self.someone())

        report = store.check()

        assert isinstance(report, CheckReport)
        assert report.clean
        assert report.sessions == store.stats().sessions >= 1
        assert report.entries > 0
        assert store.delete(token)

    def test_sync_and_close(self, store: SessionStore) -> None:
        """Sync can be asked for at any time; after a close the next verb opens again and everything is there."""
        token, _ = store.create({"a": 1})
        store.sync()

        store.close()
        store.close()

        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 1}
        assert store.save(token, [Set("a", 2)]).data == {"a": 2}

    def test_backup_into_a_new_directory(self, store: SessionStore, tmp_path: Path) -> None:
        """A backup is a state directory of its own, for nobody else to read."""
        store.create({"a": 1})
        target = tmp_path / "copy"

        store.backup(target)

        assert target.is_dir()
        assert target.stat().st_mode & 0o077 == 0
        assert any(each.stat().st_size for each in target.iterdir())
