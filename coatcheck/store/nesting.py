"""Whether a verb runs inside of another one of the same thread: a signal handler or a finalizer has come in between.

What a thread holds when it enters a verb is either left behind by an exception out of a signal handler, and has to be
cleaned up, or belongs to a verb that goes on as soon as the handler returns, and must not be touched.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

_STORE: Final = "coatcheck.store."


def verb_below() -> bool:
    """Whether a function of the store is waiting on this thread's stack, below somebody else's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what the inspect module does, without its cost
    others = False
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(_STORE):
            others = True
        elif others:
            return True
        frame = frame.f_back
    return False
