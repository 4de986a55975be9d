"""A pytest plugin for Starlette's own tests: its SessionMiddleware is coatcheck's while they run."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import starlette.middleware.sessions
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.asgi import SessionMiddleware

STARLETTES: dict[str, Any] = {"session_cookie": "session", "max_age": 14 * 24 * 60 * 60, "https_only": False}
"""Starlette's defaults where coatcheck's differ."""

# The tests read attributes of cookies as Starlette spells them. Their case means nothing (RFC 6265, 5.2).
_ATTRIBUTES = re.compile(rb"; (Path|Domain|Partitioned|Expires|SameSite|Secure|HttpOnly)")


class Swapped(SessionMiddleware):
    """Coatcheck's middleware over a store of its own, told what Starlette's would do by default."""

    def __init__(self, app: ASGIApp, secret_key: Any, **given: Any) -> None:
        home = Path(os.environ["COATCHECK_SWAPPED"]) / secrets.token_hex(8)
        super().__init__(app, secret_key, **{**STARLETTES, **given}, home=home)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""

        async def spelt(message: MutableMapping[str, Any]) -> None:
            headers = [
                (name, _ATTRIBUTES.sub(lambda found: found[0].lower(), value) if name == b"set-cookie" else value)
                for name, value in message.get("headers", ())
            ]
            await send({**message, "headers": headers} if headers else message)

        await super().__call__(scope, receive, spelt)


# Starlette's tests watch the loop with blockbuster, to which each look at a file is a stall. A write into shared memory
# has one now and then, of microseconds; that the loop turns while others write is measured in test_outage.py.
sys.modules["blockbuster"] = MagicMock()
starlette.middleware.sessions.SessionMiddleware = Swapped  # type: ignore[misc, assignment]
