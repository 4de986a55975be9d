"""What the shop sells: data, nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """One thing on the rack."""

    sku: str
    """Its name in addresses and in the session, and of its picture in ``static/products``."""

    name: str
    """What the shelf says."""

    note: str
    """One line of description."""

    price: int
    """Cents."""

    tint: str
    """The colour behind its picture: a class ``tint-...`` of the style sheet."""


PRODUCTS = {
    product.sku: product
    for product in (
        Product("overcoat", "Wool overcoat", "Midnight blue, three brass buttons.", 28900, "blue"),
        Product("trench", "Belted trench", "For the person who is followed.", 24900, "sand"),
        Product("raincoat", "Yellow raincoat", "Seen from the far end of the pier.", 12900, "teal"),
        Product("umbrella", "Bottle-green umbrella", "Opens at the first try. Usually.", 4900, "green"),
        Product("hat", "Felt hat", "One feather, barely used.", 8900, "rose"),
        Product("scarf", "Striped scarf", "Two metres of good intentions.", 3900, "cream"),
        Product("mittens", "Knitted mittens", "On a cord, so that both come home.", 2900, "blue"),
        Product("hanger", "Cedar hanger", "Number 29. Keeps moths and secrets away.", 1900, "sand"),
    )
}


def price(cents: int) -> str:
    """The price as people read it."""
    return f"€ {cents // 100}.{cents % 100:02}"
