"""One who asks: one request after the other, whose answers and silences he writes down."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from coatcheck import Append, FlashMessage, Increment, Set
from coatcheck.client import SessionClient
from coatcheck.errors import StoreUnavailable
from tests.chaos.ledger import Entry, Ledger, Outcome

TIMEOUTS: Final = (0.003, 0.03, 0.1, 0.5, 2.0)
"""Seconds, of one client each; whom an asker asks is left to chance. An ask takes about half a millisecond."""

PATIENCE: Final = 45.0
"""Seconds for which what is unknown is asked again: a store knows a request again for 60."""

_VERBS: Final = ("add", "add", "add", "add", "flash", "flash", "flash", "show", "show", "read", "read", "read")

Call = Callable[..., Awaitable[Any]]


class Asker:
    """Asks over a verb's twin or the verb itself: ``call(client, name, ...)`` is awaited, in a thread for nothing."""

    def __init__(
        self,
        call: Call,
        pause: Callable[[float], Awaitable[None]],
        clients: Sequence[SessionClient],
        sessions: Callable[[random.Random], tuple[str, str]],
        ledger: Ledger,
        *,
        tab: int,
        seed: int,
    ) -> None:
        """``sessions`` chooses the mark and token to ask about; ``tab`` is a number that no other asker has."""
        self._call = call
        self._pause = pause
        self._clients = clients
        self._choose = sessions
        self._ledger = ledger
        self._tab = tab
        self._chance = random.Random(seed)
        self._count = 0
        self.asks = 0
        """How often somebody was asked."""

    async def run(self, asks: int) -> None:
        """Ask so often."""
        while self.asks < asks:
            await self._one()

    async def _one(self) -> None:
        mark, token = self._choose(self._chance)
        verb = self._chance.choice(_VERBS)
        client = self._chance.choice(self._clients)
        self._count += 1
        number = self._tab * 10_000_000 + self._count
        begin = time.monotonic()
        answer_mark: str | None = None
        shown: tuple[int, ...] = ()
        remark = wrong = ""
        try:
            if verb == "read":
                answer_mark = _mark_of(await self._ask(client, "load", token))
            else:
                answer_mark, shown, wrong, remark = await self._write(client, verb, mark, token, number)
            outcome = Outcome.CONFIRMED
        except StoreUnavailable as error:
            outcome, remark = Outcome.UNKNOWN, f"{type(error).__name__}: {str(error)[:60]}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the verdict is to name it
            outcome, wrong = Outcome.UNKNOWN, repr(error)
        self._ledger.note(
            Entry(
                mark=mark,
                verb=verb,
                outcome=outcome,
                number=number,
                tab=self._tab,
                answer_mark=answer_mark,
                shown=shown,
                began=begin,
                ended=time.monotonic(),
                via=f"{client.settings.ask_timeout} s",
                remark=remark,
                wrong=wrong,
            )
        )

    async def _ask(self, client: SessionClient, verb: str, *args: Any, **kwargs: Any) -> Any:
        self.asks += 1
        return await self._call(client, verb, *args, **kwargs)

    async def _write(
        self, client: SessionClient, verb: str, mark: str, token: str, number: int
    ) -> tuple[str | None, tuple[int, ...], str, str]:
        """The mark of the answer, what it showed, what was wrong with it, a remark. Raises StoreUnavailable."""
        request_id = os.urandom(16)
        args: tuple[Any, ...]
        if verb == "add":
            args = ("save", token, [Increment("count"), Append("seen", number), Set(f"slot{self._tab}", number)])
        elif verb == "flash":
            args = ("add_flash", token, FlashMessage.info(str(number)))
        else:
            args = ("take_flashes", token)
        remark = ""
        try:
            answer = await self._ask(client, *args, request_id=request_id)
        except StoreUnavailable as error:
            # Half of those who do not know leave it at that. But a flash that was taken is shown, or given back.
            leave_it = self._chance.random() < 0.5
            if leave_it and verb == "show":
                await self._insist("restore_flashes", token, request_id.hex())
            if leave_it:
                raise
            answer = await self._insist(*args, request_id=request_id)
            remark = f"asked again after {type(error).__name__}"
        if verb == "add":
            there = list(answer.data.get("seen", [])).count(number)
            return _mark_of(answer), (), "" if there == 1 else f"an answer had its own write {there} times", remark
        if verb == "flash":
            return mark, (), "", remark
        return mark, tuple(int(str(each.message)) for each in answer[1]), "", remark

    async def _insist(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the most patient client again and again, until there is an answer."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._ask(self._clients[-1], verb, *args, **kwargs)
            except StoreUnavailable:
                if time.monotonic() > end:
                    raise
                await self._pause(0.02)


def _mark_of(record: Any) -> str | None:
    return None if record is None else record.data.get("mark")
