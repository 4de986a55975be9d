"""What all verbs of the LMDB store stand on: opening, transactions, and the way from a token to a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND, clock_from
from coatcheck.errors import BadToken, SessionConflict, SessionMissing, SessionTooLarge
from coatcheck.keyring import Keyring, load_or_create, parse_secrets
from coatcheck.store import audit, files, header, policy, token_table
from coatcheck.store.draft import Draft
from coatcheck.store.environment import Environment, environment_at, release
from coatcheck.store.room import Room
from coatcheck.store.tables import CURRENT
from coatcheck.store.transactions import Read, Write
from coatcheck.tokens import Tokens

if TYPE_CHECKING:
    import lmdb

    from coatcheck.clock import Clock
    from coatcheck.settings import Settings
    from coatcheck.store.apply import Step
    from coatcheck.store.contract import Reason
    from coatcheck.store.tables import Tables
    from coatcheck.store.upkeep import Upkeep

REPEATS_KEPT: Final = 8
REPEATS_FOR: Final = 60 * SECOND
MAX_PRINCIPAL: Final = 512
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
        self._background = background
        self._environment: Environment | None = None
        self._keyring: Keyring | None = None
        self._now = self.clock.now

    # Opening ---------------------------------------------------------------------------------------------------

    @property
    def keyring(self) -> Keyring:
        """The server secrets."""
        self.environment  # noqa: B018 - reads them
        assert self._keyring is not None
        return self._keyring

    @property
    def environment(self) -> Environment:
        """The environment of this process, joined at the first use."""
        return self._environment or self._join()

    def _join(self) -> Environment:
        settings = self.settings
        files.prepare_directory(settings.home)
        if settings.secrets is None:
            keyring = load_or_create(settings.home / files.SECRET)
        else:
            roots: list[bytes] = []
            for secret in settings.secrets:
                roots += parse_secrets(secret) if isinstance(secret, str) else [secret]
            keyring = Keyring(roots)
        fingerprints = keyring.fingerprints()

        def founder(transaction: lmdb.Transaction, tables: Tables) -> policy.Policy:
            return policy.settle(transaction, tables, settings, fingerprints)

        environment = environment_at(settings.home, founder, self.clock)
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
        self._room = Room(environment)
        self._environment = environment
        return environment

    def prepare(self) -> None:
        """Make the store if it is absent, see that it can be opened, and leave nothing open.

        Raises ConfigurationError and StoreUnavailable.
        """
        if self._environment is None:
            environment = self._join()
            if environment.users == 1:
                environment.close()

    def close(self) -> None:
        """Give back what is open. The next verb opens again."""
        environment, self._environment = self._environment, None
        if environment is not None:
            release(environment)

    @property
    def upkeep(self) -> Upkeep:
        """The duties of the store: sweep, sync, readers."""
        return self.environment.upkeep

    @contextmanager
    def no_wait(self) -> Iterator[None]:
        """Inside, and in this thread, a verb that would wait for the writer gate raises GateBusy."""
        local = self.environment.local
        local.no_wait = True
        try:
            yield
        finally:
            local.no_wait = False

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
        return self.environment.tables

    # From a token to a session ---------------------------------------------------------------------------------

    def _hash(self, token: str) -> bytes:
        """The hash of a token. Raises BadToken."""
        if self._environment is None:
            self._join()
        token_hash = self._tokens.hash_of(token)
        if token_hash is None:
            self.counters["forged"] += 1
            raise BadToken
        return token_hash

    def _draft(self, transaction: lmdb.Transaction, token_hash: bytes, now: int) -> tuple[Draft, bool]:
        """The live session of a token, and whether the token is in grace. Raises SessionMissing."""
        tables = self._tables
        entry = token_table.get(transaction, tables, token_hash)
        if entry is None:
            raise self._missing("unknown")
        if not entry.leads(now):
            raise self._missing(token_table.REASONS[entry.state])
        row = transaction.get(entry.sid, db=tables.sessions)
        if row is None:
            raise self._missing("unknown")
        draft = self._open_draft(transaction, entry.sid, row)
        if now >= draft.deadline:
            raise self._missing("expired")
        return draft, entry.state != CURRENT

    def _open_draft(self, transaction: lmdb.Transaction, sid: bytes, row: bytes) -> Draft:
        draft = Draft(transaction, self._tables, sid, header.current(row))
        draft.flash_limit = self.environment.policy.max_flashes
        return draft

    def _missing(self, reason: Reason) -> SessionMissing:
        self.counters[reason] += 1
        return SessionMissing(reason)

    def _end(self, draft: Draft, state: int, now: int, kind: str) -> None:
        """Delete a session and remember why for each of its tokens."""
        kept = now + (token_table.ENDED_KEPT if kind != "expired" else token_table.EXPIRED_KEPT)
        variable = draft.variable
        for token_hash in (draft.token_hash, *(each[0] for each in variable.graces)):
            token_table.bury(draft.transaction, draft.tables, token_hash, draft.sid, state, now, kept)
        draft.delete()
        audit.note(draft.transaction, draft.tables, now, kind, draft.sid, variable.principal)
        self.counters[kind] += 1

    # Limits and repeats ----------------------------------------------------------------------------------------

    def _apply(self, draft: Draft, steps: Sequence[Step], if_version: int | None = None) -> None:
        """Apply steps within the limits. Raises SessionConflict, SessionTooLarge, ChangeRefused, StoreFull."""
        if if_version is not None and draft.version != if_version:
            self.counters["conflict"] += 1
            raise SessionConflict(if_version, draft.version)
        for step in steps:
            step(draft)
        length = draft.new_length
        if length > self.environment.policy.max_session_bytes:
            self._check_size(draft)
        if draft.grows:
            self._room.require()
        self.counters["flashes_dropped"] += draft.flashes_dropped

    def _check_size(self, draft: Draft) -> None:
        limit = self.environment.policy.max_session_bytes
        size = draft.size
        if size <= limit or size <= draft.old_size:
            return
        flashes = sum(map(len, draft.flashes))
        key = max(draft.values, key=lambda each: len(draft.values[each]), default="")
        largest = len(draft.values[key]) if key else 0
        if flashes > largest:
            key, largest = "flashes", flashes
        raise SessionTooLarge(key, size, limit, largest)

    @staticmethod
    def _is_repeat(draft: Draft, request_id: bytes | None) -> bool:
        return request_id is not None and any(each[0] == request_id for each in draft.variable.repeats)

    @staticmethod
    def _remember(draft: Draft, request_id: bytes | None, now: int) -> None:
        if request_id is None:
            return
        kept = [each for each in draft.variable.repeats if now - REPEATS_FOR < each[1] <= now + REPEATS_FOR]
        draft.variable = draft.variable._replace(repeats=[*kept[1 - REPEATS_KEPT :], [request_id, now]])


def check_principal(principal: str) -> str:
    """A principal as it may be. Raises TypeError and ValueError."""
    if not isinstance(principal, str):
        msg = f"a principal is a str, not {type(principal).__name__}: use str(user.id)"
        raise TypeError(msg)
    if not principal or len(principal.encode("utf-8", "surrogatepass")) > MAX_PRINCIPAL:
        msg = f"a principal has 1 to {MAX_PRINCIPAL} bytes: use the id of the user, not the user"
        raise ValueError(msg)
    return principal
