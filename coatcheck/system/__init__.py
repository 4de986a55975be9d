"""The actor system: started by ``run_system.py`` (installed: ``python -m coatcheck.system``), joined by others.

::

    from coatcheck.messages import LoadSession
    from coatcheck.system import join

    system, manager = join("state/dir")
    answer = system.ask(manager, LoadSession(token=token), 1.0)      # SessionLoaded, SessionAbsent, or None
    system.tell(manager, AddFlash(token=token, flash=FlashMessage.info("Saved")))
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["join"]


def join(home: str | os.PathLike[str] | None = None, *, timeout: float = 5.0, **settings: Any) -> tuple[Any, Any]:
    """Join the actor system that runs on a state directory: an ActorSystem, and the address of its SessionManager.

    ``home`` is ``COATCHECK_HOME`` when it is left out; ``timeout`` is in seconds (default 5). Make it after the fork.
    Threads may share the system, one request at a time; ``with system.private() as own:`` gives each its own endpoint,
    so that they do not wait for each other. A request gets its own reply or None, never one that came too late.

    Raises StoreUnavailable at once when no system runs there, RequestTimeout when it does not answer in time.
    """
    from coatcheck.settings import Settings
    from coatcheck.system import joining

    return joining.join(Settings.load(home, **settings), timeout)
