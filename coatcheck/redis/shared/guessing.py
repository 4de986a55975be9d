"""What a change supposes at first: the copy of this host, which is fresher than what one process remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.errors import CoatcheckError
from coatcheck.redis.guesses import Guesses

if TYPE_CHECKING:
    from coatcheck.redis.rest import View
    from coatcheck.redis.shared.copies import Copies


class LocalGuesses(Guesses):
    """What this process has seen last, unless the host knows better."""

    def __init__(self, local: Copies) -> None:
        super().__init__()
        self._local = local

    def get(self, token_hash: bytes | None) -> View | None:
        """What was seen last."""
        mine = super().get(token_hash)
        if token_hash is None:
            return mine
        revision = None if mine is None or mine.session is None else mine.session.revision
        try:
            return self._local.view(token_hash, unless=revision) or mine
        except CoatcheckError:
            return mine
