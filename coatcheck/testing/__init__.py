"""For the tests of applications and of stores: a held clock, and the conformance suite of :mod:`coatcheck.store`.

The suite needs pytest and is imported when it is first asked for; the clock needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coatcheck.testing.clock import FakeClock
from coatcheck.testing.together import together

if TYPE_CHECKING:
    from coatcheck.testing.contract import StoreContract as StoreContract

__all__ = ["FakeClock", "StoreContract", "together"]


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from coatcheck.testing.contract import StoreContract

        return StoreContract
    msg = f"module 'coatcheck.testing' has no attribute {name!r}"
    raise AttributeError(msg)
