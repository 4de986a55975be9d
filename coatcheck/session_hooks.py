"""What an integration may decide about its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coatcheck.tracked import TrackedDict

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.tracking import Login


class SessionHooks(TrackedDict):
    """Methods for the session class of an integration to override."""

    __slots__ = ("_meta", "peer")

    peer: str | None
    """The address of whoever presented the token, or None."""

    _meta: Mapping[str, Any] | None

    def _usual_lifetimes(self, login: Login | None) -> Lifetimes | None:  # noqa: ARG002
        """The lifetimes of a session that is created, or bound by this login; None: as the store's settings say."""
        return None

    def _is_worth_keeping(self, data: Mapping[str, Any]) -> bool:
        """Whether a new session is stored for the sake of this data."""
        return bool(data)

    def _meta_of(self, login: Login) -> Mapping[str, Any]:
        address = {} if self.peer is None else {"ip": self.peer}
        return {**address, **(self._meta or {}), **(login.meta or {})}

    def _next_token(self) -> str | None:
        """The token that the session gets where it gets one, minted by ``client.mint``; None: any."""
        return None
