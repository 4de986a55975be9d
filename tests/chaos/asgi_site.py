"""The same application without a framework, for asyncio: over the twins of a client, with the same answers.

``COATCHECK_HOME`` and ``COATCHECK_LANE`` come from the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import coatcheck
from coatcheck import Session
from coatcheck.cookies import CookieRules, presented
from coatcheck.errors import StoreUnavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RULES = CookieRules()
client = coatcheck.connect()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI 3."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    header = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    tokens = presented(header, str(RULES.name))
    query = dict(parse_qsl(scope["query_string"].decode()))
    session = await client.aopen(tokens[0] if tokens else None)
    headers = [(b"content-type", b"application/json"), (b"x-process", str(os.getpid()).encode())]
    try:
        answer = await _answer(scope["path"], query, session)
        token = await session.acommit()
        if session.cookie == "set":
            headers.append((b"set-cookie", RULES.header(str(token)).encode()))
        elif session.cookie == "remove":
            headers.append((b"set-cookie", RULES.removal().encode()))
        status = 200
    except StoreUnavailable as error:
        await session.aabandon()
        status, answer = 503, {"error": str(error)}
    body = json.dumps(answer).encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.shutdown":
            await client.aclose()
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _answer(path: str, query: dict[str, str], session: Session) -> dict[str, Any]:
    if path == "/enter":
        session["mark"] = query["mark"]
        session.login(query["mark"])
        return {"mark": query["mark"], "principal": query["mark"], "pid": os.getpid()}
    answer = {"mark": session.get("mark"), "principal": session.principal, "pid": os.getpid()}
    if path == "/leave":
        session.logout()
    elif path == "/show":
        answer["shown"] = [int(each.message) for each in await session.atake_flashes()]
    elif answer["mark"] is not None and path == "/add":
        session.increment("count")
        session.append("seen", int(query["number"]))
        session[f"slot{query['tab']}"] = int(query["number"])
    elif answer["mark"] is not None and path == "/leave_flash":
        session.flash(query["number"])
    return answer
