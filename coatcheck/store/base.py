"""What all verbs of the LMDB store stand on: opening, transactions, and the way from a token to a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from coatcheck.clock import clock_from
from coatcheck.keyring import Keyring, keyring_from
from coatcheck.metering import meter_of
from coatcheck.sealing import Sealing, refuse_secrets, sealing_of
from coatcheck.store import files, policy
from coatcheck.store.environment import Environment
from coatcheck.store.refusals import KINDS
from coatcheck.store.registry import environment_at, release, table_lock
from coatcheck.store.room import Room
from coatcheck.store.tables import Transaction
from coatcheck.store.transactions import Read, Write
from coatcheck.tokens import Tokens

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.settings import Settings
    from coatcheck.store.policy import Policy
    from coatcheck.store.tables import Tables
    from coatcheck.store.upkeep import Upkeep

MAX_META: Final = 4096


class StoreBase:
    """Everything below the verbs."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, background: bool = True) -> None:
        """Open nothing yet.

        ``clock`` overrides the one that the settings name. ``background``: whether this process may take over the
        upkeep of the store from a daemon thread once it has written; a manager has its own way.
        """
        self.settings = settings
        self.clock: Clock = clock or clock_from(settings.clock)
        self.counters: Counter[str] = Counter()
        self._meter = meter_of(settings.home)
        self._counted = self._meter.add("store", self, self.counters)
        self._background = background
        self._environment: Environment | None = None
        self._here: Environment  # as last joined, for use inside a transaction: joining there would wait for itself
        self._keyring: Keyring | None = None
        self._now = self.clock.now
        self._sealing: Sealing | None = None
        self.any_keys = False
        """Whether to open the store whatever encryption keys it has: for what is to change them."""

    # Opening ---------------------------------------------------------------------------------------------------

    @property
    def keyring(self) -> Keyring:
        """The server secrets."""
        if self._keyring is None:
            self._join()
        assert self._keyring is not None
        return self._keyring

    @property
    def environment(self) -> Environment:
        """The environment of this process, joined at the first use."""
        return self._environment or self._join()

    def _join(self, *, counted: bool = True) -> Environment:
        settings = self.settings
        files.prepare_directory(settings.home)
        keyring = keyring_from(settings.secrets, settings.home / files.SECRET)
        fingerprints = keyring.fingerprints()
        sealing = sealing_of(settings)
        refuse_secrets(sealing, keyring)

        def founder(transaction: Transaction, tables: Tables) -> policy.Policy:
            return policy.settle(transaction, tables, settings, fingerprints, sealing, any_keys=self.any_keys)

        environment = environment_at(settings.home, founder, self.clock)
        environment.upkeep.background |= self._background
        environment.on_opened = self._meter.wake
        try:
            environment.open()
            # Where this process had it open already, somebody else was the founder: compare.
            with Write(environment, settings.gate_timeout) as transaction:
                founder(transaction, environment.tables)
        except BaseException:
            release(environment)
            raise
        self._keyring = keyring
        self._tokens = Tokens(keyring)
        self._sealing = environment.upkeep.sealing = sealing
        self._room = Room(environment)
        self._here = environment
        self._exchange(environment)
        if counted:
            self._counted.begin()
        return environment

    def _exchange(self, environment: Environment | None) -> None:
        """Put this where the store keeps its environment, and give back what was there.

        Threads may join and close at once: each use that was counted is given back once.
        """
        with table_lock():
            former, self._environment = self._environment, environment
        if former is not None:
            release(former)

    def prepare(self) -> Policy:
        """Make the store if it is absent, see that it can be opened, and leave nothing open; its policy.

        Raises ConfigurationError and StoreUnavailable.
        """
        joined = self._environment is None
        if joined:
            self._join(counted=False)
        found = self.environment.policy
        if joined:
            self.close()
        return found

    def close(self) -> None:
        """Give back what is open. The next verb opens again."""
        self._exchange(None)
        self._counted.end()

    @property
    def upkeep(self) -> Upkeep:
        """The duties of the store: sweep, sync, readers."""
        return self.environment.upkeep

    def note_refused(self, reason: str, peer: str | None, count: int = 1) -> None:
        """Count a refused token of a peer (an IP address); at most one audit event per peer and minute."""
        if reason in KINDS:
            environment = self.environment
            environment.upkeep.refusals.note(reason, peer, count)
            if self._background:
                environment.upkeep.start()

    def note_dropped(self, peer: str | None) -> None:
        """Count a write of a peer that was dropped because its session had ended; told like refused tokens."""
        environment = self.environment
        environment.upkeep.refusals.note_dropped(peer)
        if self._background:
            environment.upkeep.start()

    @contextmanager
    def no_wait(self) -> Iterator[None]:
        """Inside, and in this thread, a verb that would wait for the writer gate raises GateBusy."""
        local = self.environment.local
        local.no_wait = True
        try:
            yield
        finally:
            local.no_wait = False

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        if self._environment is None:
            self._join()
        return self._tokens.mint(like)

    # Transactions ----------------------------------------------------------------------------------------------

    def _read(self) -> Read:
        return Read(self._environment or self._join())

    def _write(self) -> Write:
        environment = self._environment or self._join()
        if self._background:
            environment.upkeep.start()
        return Write(environment, self.settings.gate_timeout)

    @property
    def _tables(self) -> Tables:
        return self._here.tables
