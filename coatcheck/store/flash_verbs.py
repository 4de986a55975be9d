"""The mailbox of flashes: append, take exactly once, give back."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from coatcheck.store import apply
from coatcheck.store.full import again_when_full
from coatcheck.store.record import Record, unpack_flash
from coatcheck.store.sessions import Sessions, beside_one_more, lately

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage
    from coatcheck.store.body import Take


class FlashVerbs(Sessions):
    """``add_flash``, ``take_flashes`` and ``restore_flashes``."""

    @again_when_full
    def add_flash(self, token: str, flash: FlashMessage, *, request_id: bytes | None = None) -> None:
        """Append to the mailbox; see the contract."""
        token_hash = self._hash(token)
        packed = apply.pack_flash(flash)
        self._room.look()
        with self._write() as transaction:
            now = self._now()
            draft, _ = self._draft(transaction, token_hash, now)
            if self._is_repeat(draft, request_id):
                return
            self._apply(draft, [lambda each: each.push_flashes([packed])])
            self._remember(draft, request_id, now)
            draft.store()
        self.counters["flash"] += 1

    @again_when_full
    def take_flashes(self, token: str, *, request_id: bytes | None = None) -> tuple[str, list[FlashMessage]]:
        """Take all flashes; see the contract."""
        token_hash = self._hash(token)
        take_id = (request_id or secrets.token_bytes(16)).hex()
        found = self._look(token_hash, self._now())
        if not isinstance(found, Record):
            self._miss(found[0])
        if not found.body.flash_lengths and not any(each[0] == take_id for each in found.body.take_pieces()):
            return take_id, []  # neither is there anything to take, nor does anybody ask once more for what this took
        limit = self.environment.policy.max_session_bytes
        with self._write() as transaction:
            now = self._now()
            draft, _ = self._draft(transaction, token_hash, now)
            packed = next((each[2] for each in draft.takes if each[0] == take_id), None)
            if packed is None:
                packed = draft.flashes
                if packed:
                    takes = [*beside_one_more(draft.takes, now), [take_id, now, packed]]
                    while len(takes) > 1 and sum(_size(each) for each in takes) > limit:
                        del takes[0]
                    draft.keep_takes(takes)
                    draft.replace_flashes([])
                    draft.last_seen = now
                    draft.store()
        self.counters["take"] += 1
        return take_id, [unpack_flash(each) for each in draft.opened(packed)]

    @again_when_full
    def restore_flashes(self, token: str, take_id: str) -> int:
        """Put back what a take took; see the contract."""
        token_hash = self._hash(token)
        limit = self.environment.policy.max_session_bytes
        with self._write() as transaction:
            now = self._now()
            draft, _ = self._draft(transaction, token_hash, now)
            takes = lately(draft.takes, now)
            packed = next((each[2] for each in takes if each[0] == take_id), None)
            if packed is None:
                return 0
            draft.keep_takes([each for each in takes if each[0] != take_id])
            restored = list(packed)
            while restored and draft.size_with([*restored, *draft.flashes]) > limit:
                del restored[0]
            draft.replace_flashes([*restored, *draft.flashes])
            draft.store()
        return len(restored)


def _size(take: Take) -> int:
    return sum(map(len, take[2]))
