"""A process of askers: ``python -m tests.stress.askers PLAN``; writes its entries into a file.

The plan is a JSON object: ``home``, ``kind`` (``threads``, ``tasks`` or ``raw``), ``count``, ``asks`` of each,
``seed``, ``first_tab``, ``sessions`` (pairs of mark and token: a list ``own``, one for each; one that they have
``shared``; a list for ``everybody``, one after the other), and ``output``.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import coatcheck
from coatcheck.client import SessionClient
from coatcheck.errors import StoreUnavailable
from coatcheck.messages import LoadSession, SessionLoaded
from coatcheck.system import join
from tests.chaos.ledger import Entry, Ledger, Outcome
from tests.stress.asker import TIMEOUTS, Asker


def main() -> int:
    """Carry out the plan. SIGUSR1 shows where each thread is."""
    faulthandler.register(signal.SIGUSR1)
    plan = json.loads(Path(sys.argv[1]).read_text())
    ledger = Ledger()
    asks = {"threads": threads, "tasks": tasks, "raw": raw}[plan["kind"]](plan, ledger)
    entries = [{**asdict(each), "outcome": each.outcome.value} for each in ledger.entries]
    Path(plan["output"]).write_text(json.dumps({"asks": asks, "entries": entries}))
    return 0


def askers(plan: dict[str, Any], ledger: Ledger, call: Any, pause: Any) -> list[Asker]:
    """All askers of this process; they share its clients."""
    clients = [coatcheck.connect(plan["home"], lane="actor", ask_timeout=each, pool_size=32) for each in TIMEOUTS]
    first, seed = plan["first_tab"], plan["seed"]
    return [
        Asker(call, pause, clients, _chooser(plan, number), ledger, tab=first + number, seed=seed + number)
        for number in range(plan["count"])
    ]


def _chooser(plan: dict[str, Any], number: int) -> Callable[[random.Random], tuple[str, str]]:
    """Half of the time the asker's own session, else one that the process shares, or everybody."""
    sessions, asked = plan["sessions"], 0

    def choose(chance: random.Random) -> tuple[str, str]:
        nonlocal asked
        asked += 1
        whose = chance.random()
        if whose < 0.5:
            mark, token = sessions["own"][number]
        elif whose < 0.8:
            mark, token = sessions["shared"]
        else:
            everybody = sessions["everybody"]
            mark, token = everybody[min(asked * len(everybody) // plan["asks"], len(everybody) - 1)]
        return mark, token

    return choose


def threads(plan: dict[str, Any], ledger: Ledger) -> int:
    """Each asker in a thread, over the verbs."""

    async def call(client: SessionClient, verb: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(client, verb)(*args, **kwargs)

    async def pause(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop

    ours = askers(plan, ledger, call, pause)
    with ThreadPoolExecutor(len(ours)) as pool:
        list(pool.map(lambda each: _drive(each.run(plan["asks"])), ours))
    return sum(each.asks for each in ours)


def _drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    msg = "it waits"
    raise AssertionError(msg)


def tasks(plan: dict[str, Any], ledger: Ledger) -> int:
    """Each asker as a task of asyncio, over the a-twins."""

    async def call(client: SessionClient, verb: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(client, f"a{verb}")(*args, **kwargs)

    async def everybody() -> int:
        ours = askers(plan, ledger, call, asyncio.sleep)
        await asyncio.gather(*(each.run(plan["asks"]) for each in ours))
        return sum(each.asks for each in ours)

    return asyncio.run(everybody())


def raw(plan: dict[str, Any], ledger: Ledger) -> int:
    """Loads by hand: ``ask`` over a private endpoint, which is kept when an answer does not come in time."""
    with ThreadPoolExecutor(plan["count"]) as pool:
        return sum(pool.map(lambda number: _by_hand(plan, number, ledger), range(plan["count"])))


def _by_hand(plan: dict[str, Any], number: int, ledger: Ledger) -> int:
    chance = random.Random(plan["seed"] + number)
    sessions = plan["sessions"]
    mine = [sessions["own"][number], sessions["shared"], *sessions["everybody"]]
    asks = 0
    while asks < plan["asks"]:
        try:
            system, manager = join(plan["home"], timeout=5.0)
        except StoreUnavailable:
            asks += 1
            continue
        with system.private() as own:
            silences = 0
            while silences < 10 and asks < plan["asks"]:
                mark, token = chance.choice(mine)
                begin = time.monotonic()
                answer = own.ask(manager, LoadSession(token=token), chance.choice(TIMEOUTS[:3]))
                asks += 1
                silences = silences + 1 if answer is None else 0
                _note(ledger, mark, answer, begin)
        system.shutdown()
    return asks


def _note(ledger: Ledger, mark: str, answer: Any, begin: float) -> None:
    loaded = isinstance(answer, SessionLoaded)
    wrong = "" if loaded or answer is None else f"the answer is a {type(answer).__name__}: {answer}"
    ledger.note(
        Entry(
            mark=mark,
            verb="read",
            outcome=Outcome.CONFIRMED if loaded else Outcome.UNKNOWN,
            answer_mark=answer.record.data.get("mark") if loaded else None,
            began=begin,
            ended=time.monotonic(),
            via="by hand",
            wrong=wrong,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
