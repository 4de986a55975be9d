"""The rack and the cart.

Each article has a key of its own in the session, and adding one is an increment. So two tabs, or twenty requests at
once, never undo each other: the store adds up.
"""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catalogue import PRODUCTS, Product
from sessions import session

shop = Blueprint("shop", __name__)

MOST = 20
"""How many pieces of one article the page lets into a cart."""


def cart() -> list[tuple[Product, int]]:
    """The articles of this session and how many of each."""
    return [(product, count) for product in PRODUCTS.values() if (count := session.get(_key(product), 0)) > 0]


@shop.get("/")
def rack() -> str:
    """Everything there is."""
    return render_template("rack.html", products=PRODUCTS.values())


@shop.get("/cart")
def show_cart() -> str:
    """What this session holds."""
    lines = cart()
    return render_template("cart.html", lines=lines, total=sum(product.price * count for product, count in lines))


@shop.post("/cart/add/<sku>")
def add(sku: str) -> Response:
    """Put one into the cart."""
    product = _product(sku)
    if session.get(_key(product), 0) >= MOST:
        flash(f"{MOST} of one kind is all our rail can bear.", "warning")
    else:
        session.increment(_key(product))
        flash(f"{product.name} hangs in your cart.", "success")
    return redirect(url_for("shop.show_cart" if request.form.get("from") == "cart" else "shop.rack"))


@shop.post("/cart/take/<sku>")
def take(sku: str) -> Response:
    """Take one out of the cart, or all of a kind."""
    product = _product(sku)
    count = session.get(_key(product), 0)
    if count > 1 and "all" not in request.form:
        session.increment(_key(product), -1)
    elif count:
        del session[_key(product)]
        flash(f"{product.name} is back on the rack.", "info")
    return redirect(url_for("shop.show_cart"))


@shop.post("/cart/checkout")
def checkout() -> Response:
    """Pretend to sell."""
    lines = cart()
    if not lines:
        flash("There is nothing in your cart to collect.", "error")
        return redirect(url_for("shop.show_cart"))
    for product, _ in lines:
        del session[_key(product)]
    flash("Collected. Nothing was charged and nothing will be sent: this is a demo.", "success")
    return redirect(url_for("shop.rack"))


def _key(product: Product) -> str:
    return f"cart:{product.sku}"


def _product(sku: str) -> Product:
    if sku not in PRODUCTS:
        abort(404, "There is no such article on our rack.")
    return PRODUCTS[sku]
