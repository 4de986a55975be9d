"""Read and write transactions as ``with`` blocks, with LMDB's errors in coatcheck's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import lmdb

from coatcheck.errors import (
    ChangeRefused,
    PrincipalLimit,
    SessionConflict,
    SessionMissing,
    SessionTooLarge,
    StoreFull,
)
from coatcheck.store.lmdb_errors import translate

if TYPE_CHECKING:
    from coatcheck.store.environment import Environment
    from coatcheck.store.tables import Transaction

_REFUSALS: Final = (SessionMissing, SessionConflict, SessionTooLarge, ChangeRefused, PrincipalLimit)


class Read:
    """A read transaction: ``with Read(environment) as transaction:``."""

    __slots__ = ("_environment", "_transaction")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __enter__(self) -> Transaction:
        self._transaction = self._environment.begin_read()
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._environment.end_read(self._transaction)
        if isinstance(error, lmdb.Error):
            raise translate(error, self._environment.home) from error


class Write:
    """``with Write(environment, timeout) as transaction:`` commits, or aborts on an exception."""

    __slots__ = ("_environment", "_timeout", "_transaction")

    def __init__(self, environment: Environment, timeout: float) -> None:
        self._environment = environment
        self._timeout = timeout

    def __enter__(self) -> Transaction:
        self._transaction = self._environment.begin_write(self._timeout)
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is None:
            try:
                self._environment.end_write(self._transaction, commit=True)
            except lmdb.Error as failed:
                error = failed
        else:
            # What is refused is refused before anything is written: an empty commit costs less than an abort.
            untouched = isinstance(error, _REFUSALS) or type(error) is StoreFull
            self._environment.end_write(self._transaction, commit=untouched)
        if isinstance(error, lmdb.Error):
            raise translate(error, self._environment.home) from error
