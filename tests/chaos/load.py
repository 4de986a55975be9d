"""Visitors: each enters, and does with several tabs at once what visitors do; all is written into the ledger."""

from __future__ import annotations

import random
import threading
import time
from http.client import HTTPException
from typing import Any, Final

from tests.chaos.ledger import Entry, Ledger, Outcome
from tests.flask.gunicorn import Answer, Browser

TABS: Final = 3
STEPS: Final = 30
"""Requests of each tab in one visit."""

_VERBS: Final = ("add", "add", "add", "flash", "flash", "show", "read")
_PATHS: Final = {"flash": "leave_flash"}


class Visitors:
    """A number of visitors who come again and again, under another mark each time."""

    def __init__(self, ports: dict[str, int], ledger: Ledger, count: int, seed: int) -> None:
        """``ports`` of the web servers by lane; a session is used over all of them."""
        self._ports = ports
        self._ledger = ledger
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._come, args=(number, random.Random(seed * 1000 + number)))
            for number in range(count)
        ]

    def start(self) -> None:
        """They come."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """The request that is under way is the last of each tab."""
        self._enough.set()
        for each in self._threads:
            each.join()

    def _come(self, number: int, chance: random.Random) -> None:
        visit = 0
        while not self._enough.is_set():
            visit += 1
            self._visit(f"v{number}-{visit}", chance)

    def _visit(self, mark: str, chance: random.Random) -> None:
        browser = self._enter(mark, chance)
        if browser is None:
            return
        token = str(browser.token)
        self._ledger.tokens[mark] = token
        seeds = [chance.random() for _ in range(TABS)]
        tabs = [
            threading.Thread(target=self._use, args=(mark, token, tab, random.Random(seeds[tab])))
            for tab in range(TABS)
        ]
        for each in tabs:
            each.start()
        for each in tabs:
            each.join()
        if chance.random() < 0.25:
            self._request(mark, token, "leave", chance, tab=0)

    def _enter(self, mark: str, chance: random.Random) -> Browser | None:
        lane = chance.choice(sorted(self._ports))
        browser = Browser(self._ports[lane])
        begin = time.monotonic()
        answer, outcome, remark = _ask(browser, "enter", mark=mark)
        self._note(mark, "enter", answer, outcome, remark, begin=begin, via=lane)
        if outcome is Outcome.CONFIRMED and browser.token is not None:
            return browser
        self._enough.wait(0.05)
        return None

    def _use(self, mark: str, token: str, tab: int, chance: random.Random) -> None:
        for _ in range(STEPS):
            if self._enough.is_set():
                return
            outcome = self._request(mark, token, chance.choice(_VERBS), chance, tab=tab)
            if outcome is not Outcome.CONFIRMED:
                self._enough.wait(0.05)

    def _request(self, mark: str, token: str, verb: str, chance: random.Random, *, tab: int) -> Outcome:
        lane = chance.choice(sorted(self._ports))
        number = self._ledger.number()
        begin = time.monotonic()
        answer, outcome, remark = _ask(
            Browser(self._ports[lane], token), _PATHS.get(verb, verb), number=number, tab=tab
        )
        self._note(mark, verb, answer, outcome, remark, begin=begin, via=lane, number=number, tab=tab)
        return outcome

    def _note(
        self,
        mark: str,
        verb: str,
        answer: Answer | None,
        outcome: Outcome,
        remark: str,
        *,
        begin: float,
        via: str,
        number: int = 0,
        tab: int = 0,
    ) -> None:
        told: dict[str, Any] = answer.json if answer is not None and outcome is Outcome.CONFIRMED else {}
        wrong = _wrong(verb, answer, told)
        self._ledger.note(
            Entry(
                mark=mark,
                verb=verb,
                outcome=outcome,
                number=number,
                tab=tab,
                answer_mark=told.get("mark"),
                shown=tuple(told.get("shown", ())),
                began=begin,
                ended=time.monotonic(),
                via=via,
                pid=0 if answer is None else int(answer.headers["X-Process"] or 0),
                remark=remark,
                wrong=wrong,
            )
        )


def _ask(browser: Browser, path: str, **query: object) -> tuple[Answer | None, Outcome, str]:
    try:
        answer = browser.get(f"/{path}", **query)
    except (OSError, HTTPException) as error:
        return None, Outcome.BROKEN, repr(error)
    if answer.status == 200:
        return answer, Outcome.CONFIRMED, ""
    return answer, Outcome.UNKNOWN, str(answer.status)


def _wrong(verb: str, answer: Answer | None, told: dict[str, Any]) -> str:
    """What a single answer must not be."""
    if answer is None:
        return ""
    if answer.status not in {200, 503}:
        return f"the status is {answer.status}: {answer.text[:200]}"
    if answer.status == 503 and answer.set_cookie is not None:
        return "an outage has touched the cookie"
    if told and verb not in {"enter", "leave"} and answer.set_cookie is not None:
        return "a request that uses a session has changed the cookie"
    if told and told["principal"] != told["mark"]:
        return f"the session {told['mark']} is bound to {told['principal']}"
    return ""
