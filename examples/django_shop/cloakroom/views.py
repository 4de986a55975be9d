"""The rack, the cart, and who is signed in.

Each article has a key of its own in the session, and adding one is an increment: two tabs, or twenty requests at once,
never undo each other. The Flask shop uses the same keys. On one state directory they share carts, logins and messages.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from coatcheck.django import get_client

GOODS = {
    "overcoat": "Wool overcoat",
    "raincoat": "Yellow raincoat",
    "umbrella": "Bottle-green umbrella",
    "hat": "Felt hat",
    "mittens": "Knitted mittens",
}


@require_GET
def rack(request: HttpRequest) -> HttpResponse:
    """Everything there is, what is in the cart, and the devices of whoever is signed in."""
    session = request.session
    user = session.coat.principal
    return render(
        request,
        "rack.html",
        {
            "goods": [(sku, name, session.get(f"cart:{sku}", 0)) for sku, name in GOODS.items()],
            "user": user,
            "handle": (session.coat.sid or "")[:8],
            "devices": get_client().sessions_of(user) if user else [],
        },
    )


@require_POST
def add(request: HttpRequest, sku: str) -> HttpResponse:
    """Put one into the cart."""
    request.session.increment(_key(sku))
    messages.success(request, f"{GOODS[sku]} hangs in your cart.")
    return redirect("rack")


@require_POST
def take(request: HttpRequest, sku: str) -> HttpResponse:
    """Take all of a kind out of the cart."""
    if request.session.pop(_key(sku), 0):
        messages.info(request, f"{GOODS[sku]} is back on the rack.")
    return redirect("rack")


@require_POST
def login(request: HttpRequest) -> HttpResponse:
    """Bind the session to the name: same session, same cart, new token.

    It is a demo without passwords, and without a database. With ``django.contrib.auth`` its ``login`` does this.
    """
    name = request.POST.get("name", "").strip()[:40]
    if name:
        request.session.coat.login(name)
        messages.success(request, f"Welcome, {name}. Your cart came along, your old token did not.")
    return redirect("rack")


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End this session, here and now."""
    request.session.flush()
    messages.info(request, "You are signed out.")
    return redirect("rack")


@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign out every other device."""
    count = request.session.coat.revoke_others()
    messages.success(request, f"Signed out {count} other device{'' if count == 1 else 's'}.")
    return redirect("rack")


def _key(sku: str) -> str:
    if sku not in GOODS:
        msg = "There is no such article on our rack."
        raise Http404(msg)
    return f"cart:{sku}"
