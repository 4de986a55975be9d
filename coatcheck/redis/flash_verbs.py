"""The mailbox of flashes: append, take exactly once, give back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.redis.calls import Flow
from coatcheck.redis.changing import Changes, Done, some_id
from coatcheck.redis.rest import View
from coatcheck.store import apply
from coatcheck.store.record import unpack_flash
from coatcheck.store.sessions import beside_one_more, lately

if TYPE_CHECKING:
    from coatcheck.flashes import FlashMessage
    from coatcheck.store.body import Take


class FlashVerbs(Changes):
    """``add_flash``, ``take_flashes`` and ``restore_flashes``."""

    def add_flash(self, token: str, flash: FlashMessage, *, request_id: bytes | None = None) -> Flow[None]:
        """Append to the mailbox; see the contract."""
        place, request = self.place_of(token), some_id(request_id)
        packed = apply.pack_flash(flash)
        yield from self.opened()

        def work(view: View, now: int, _: int) -> Done:
            draft = self.draft_of(self.live(view, now))
            if self.is_repeat(draft, request):
                return Done(None)
            self.apply(draft, [lambda each: each.push_flashes([packed])])
            self.remember(draft, request, now)
            return self.put(self.writing(place, draft), draft, now, "flash")._replace(answer=None)

        yield from self.change(place, work)
        self.counters["flash"] += 1

    def take_flashes(self, token: str, *, request_id: bytes | None = None) -> Flow[tuple[str, list[FlashMessage]]]:
        """Take all flashes; see the contract."""
        place, request = self.place_of(token), some_id(request_id)
        take_id = request.hex()
        yield from self.opened()

        def work(view: View, now: int, _: int) -> Done:
            draft = self.draft_of(self.live(view, now))
            taken = next((each[2] for each in draft.takes if each[0] == take_id), None)
            if taken is not None:
                return Done(taken)
            packed = draft.flashes
            if not packed:
                return Done([])
            takes = [*beside_one_more(draft.takes, now), [take_id, now, packed]]
            while len(takes) > 1 and sum(_size(each) for each in takes) > self.policy.max_session_bytes:
                del takes[0]
            draft.keep_takes(takes)
            draft.replace_flashes([])
            draft.last_seen = now
            draft.off_reserve = True
            return self.put(self.writing(place, draft), draft, now, "taken")._replace(answer=packed)

        taken: list[bytes] = yield from self.change(place, work)
        self.counters["take"] += 1
        return take_id, [unpack_flash(each) for each in taken]

    def restore_flashes(self, token: str, take_id: str) -> Flow[int]:
        """Put back what a take took; see the contract."""
        place, request = self.place_of(token), some_id(None)
        yield from self.opened()
        count = 0

        def work(view: View, now: int, _: int) -> Done:
            nonlocal count
            draft = self.draft_of(self.live(view, now))
            if self.is_repeat(draft, request):
                return Done(count)  # the answer to the first time was lost
            takes = lately(draft.takes, now)
            packed = next((each[2] for each in takes if each[0] == take_id), None)
            if packed is None:
                return Done(0)
            draft.keep_takes([each for each in takes if each[0] != take_id])
            restored = list(packed)
            while restored and draft.size_with([*restored, *draft.flashes]) > self.policy.max_session_bytes:
                del restored[0]
            draft.replace_flashes([*restored, *draft.flashes])
            self.remember(draft, request, now)
            draft.off_reserve = True
            count = len(restored)
            return self.put(self.writing(place, draft), draft, now, "restored")._replace(answer=count)

        restored: int = yield from self.change(place, work)
        return restored


def _size(take: Take) -> int:
    return sum(map(len, take[2]))
