"""WSGISession: ``environ["coatcheck.session"]``, with Beaker's names beside coatcheck's."""

from __future__ import annotations

from coatcheck.clock import SECOND
from coatcheck.web.session import WebSession


class WSGISession(WebSession):
    """A dict that is committed before the response leaves, whether or not ``save`` was called.

    ``save``, ``persist``, ``revert``, ``delete``, ``invalidate``, ``regenerate_id``, ``id``, ``is_new``, ``created``
    and ``last_accessed`` are there for code that was written for Beaker. There is nothing to ``lock``: parallel
    requests keep each other's keys.
    """

    __slots__ = ()

    def save(self, accessed_only: bool = False) -> None:  # noqa: FBT001, FBT002 - as Beaker has it
        """Compare all values at the commit, which saves without being asked too."""
        if not accessed_only:
            self.mark_modified()

    def persist(self) -> None:
        """The same as ``save``."""
        self.mark_modified()

    def revert(self) -> None:
        """Drop what this request has changed."""
        self.abandon()

    def delete(self) -> None:
        """End the session, and take the cookie away."""
        self.logout()

    def invalidate(self) -> None:
        """End the session; what is written afterwards starts a new one, under a new token."""
        self.logout()

    def regenerate_id(self) -> None:
        """A new token for the same session; see ``rotate``. After a login use ``login`` instead."""
        self.rotate()

    def lock(self) -> None:
        """Does nothing: nothing has to be locked."""

    def unlock(self) -> None:
        """Does nothing."""

    @property
    def id(self) -> str | None:
        """The sid, which opens nothing, or None while nothing is stored. Beaker's is the token."""
        return self.sid

    @property
    def is_new(self) -> bool:
        """Whether there was no session when the request began."""
        return self.new

    @property
    def created(self) -> float | None:
        """Seconds since 1970; None while nothing is stored."""
        return None if self.created_at is None else self.created_at / SECOND

    @property
    def last_accessed(self) -> float | None:
        """Seconds since 1970, before this request; None while nothing is stored."""
        return None if self.last_seen_at is None else self.last_seen_at / SECOND
