"""A FastAPI shop: cart, login, messages shown once, one's own devices, and a websocket that ends with the session."""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, WebSocket, WebSocketDisconnect

from coatcheck import Lifetimes
from coatcheck.asgi import SessionMiddleware
from coatcheck.asgi.fastapi import SessionDependency

PRICES = {"hat": 30, "scarf": 25, "mittens": 15, "overcoat": 180}
PASSWORDS = {"ann": "coat", "ben": "check"}  # a real shop keeps hashes

app = FastAPI(title="A small shop")
app.add_middleware(
    SessionMiddleware,
    home=os.environ.get("COATCHECK_HOME", "state"),
    signed_in=Lifetimes(idle=8 * 3600, absolute=7 * 86400),
    close_websockets=True,
)


@app.get("/")
async def cart(session: SessionDependency) -> dict[str, Any]:
    """What is in the cart, and what there is to say."""
    items = session.get("cart", [])
    messages = await session.atake_flashes()
    return {
        "user": session.principal,
        "cart": items,
        "total": sum(PRICES[item] for item in items),
        "messages": [{"level": each.level, "text": each.message} for each in messages],
    }


@app.post("/cart/{item}", status_code=201)
async def add(item: str, session: SessionDependency) -> dict[str, str]:
    """Appended where the session is kept: requests that run at once add up."""
    if item not in PRICES:
        raise HTTPException(404, f"there is no {item}")
    session.append("cart", item, limit=100)
    session.flash(f"{item} is in your cart", level="success")
    return {"added": item}


@app.delete("/cart")
async def empty(session: SessionDependency) -> dict[str, str]:
    """Removes the key; who is signed in stays signed in."""
    session.pop("cart", None)
    return {"cart": "empty"}


@app.post("/login")
async def login(
    user: Annotated[str, Body()], password: Annotated[str, Body()], session: SessionDependency
) -> dict[str, str]:
    """The cart stays; the ticket is a new one, and the old one opens nothing."""
    if not hmac.compare_digest(PASSWORDS.get(user, "").encode(), password.encode()) or user not in PASSWORDS:
        raise HTTPException(401, "wrong name or password")
    session.login(user)
    session.flash(f"Welcome, {user}")
    return {"user": user}


@app.post("/logout")
async def logout(session: SessionDependency) -> dict[str, str]:
    """Ends the session, here and for every request under way."""
    session.logout()
    return {"user": "nobody"}


@app.get("/devices")
async def devices(session: SessionDependency) -> list[dict[str, Any]]:
    """Where else one is signed in."""
    if session.principal is None:
        raise HTTPException(401, "sign in first")
    return [{"handle": each.handle, "browser": each.meta.get("user_agent")} for each in await session.aother_sessions()]


@app.delete("/devices")
async def sign_out_others(session: SessionDependency) -> dict[str, int]:
    """Needs the password, if the last login is more than five minutes ago."""
    session.require_recent_auth(300)
    return {"signed_out": await session.arevoke_others()}


@app.websocket("/live")
async def live(websocket: WebSocket, session: SessionDependency) -> None:
    """Tells the cart when it is asked. Closed when the session ends, wherever that happens."""
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()
            await session.areload()
            await websocket.send_json({"cart": session.get("cart", [])})
