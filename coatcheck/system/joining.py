"""Joining a running system: what a worker, a script or the admin process does. Never starts one."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import ConfigurationError, RequestTimeout, StoreUnavailable
from coatcheck.messages import FindManager, ManagerFound
from coatcheck.store.opener import boot_id
from coatcheck.system.files import HOW_TO_START, Whereabouts, seal_for
from coatcheck.system.names import SUPERVISOR_CLASS, SUPERVISOR_NAME
from coatcheck.system.process import alive
from coatcheck.system.wire import JoinedBase, Unanswered, Undelivered, address_of, system_over

if TYPE_CHECKING:
    from coatcheck.settings import Settings

_PAUSE: Final = 0.02


def join_base(settings: Settings, timeout: float) -> tuple[JoinedBase, Whereabouts]:
    """Join the system that runs on the state directory of these settings.

    Raises StoreUnavailable at once when none runs, RequestTimeout when one seems to run and does not answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = Whereabouts.read(settings.home)
        here = ip_address(found.host).is_loopback
        # On another address it may be in another container, whose processes are not seen from here.
        if here and not alive(found.pid):
            msg = f"no actor system runs on {settings.home} any more: {HOW_TO_START.format(home=settings.home)}"
            raise StoreUnavailable(msg)
        remaining = deadline - time.monotonic()
        try:
            if not here:
                _check_reach(settings, found)
            seal = seal_for(settings, found.epoch)
            base = JoinedBase(seal, found.port, max(0.0, remaining), host=found.host, bind=settings.bind)
            return base, found
        except StoreUnavailable:
            # It may be starting its admin again.
            if remaining <= _PAUSE:
                msg = (
                    f"the actor system of process {found.pid} on {settings.home} does not answer on port {found.port} "
                    f"within {timeout:.1f} s: see its log; it answers only to those who have the same secret"
                )
                raise RequestTimeout(msg, timeout=timeout) from None
            time.sleep(_PAUSE)


def _check_reach(settings: Settings, found: Whereabouts) -> None:
    """Whether the system, which does not listen on loopback, and this process can reach each other.

    Raises ConfigurationError when they are not on one machine, or when this process listens on loopback only.
    """
    mine = boot_id().decode("ascii", "replace")
    if found.boot and mine and found.boot != mine:
        msg = (
            f"the actor system of {settings.home} runs on another machine, or ran before this one was started again: "
            f"its clients need to be on its own"
        )
        raise ConfigurationError(msg)
    if ip_address(settings.bind).is_loopback and not _is_own(found.host):
        msg = (
            f"the actor system of {settings.home} listens on {found.host}, and cannot answer to {settings.bind}: set "
            f"COATCHECK_BIND to the address at which it reaches this process"
        )
        raise ConfigurationError(msg)


def _is_own(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def find_manager(base: Any, timeout: float) -> Any:
    """The address of the SessionManager. ``base``: a joined base or one of its private endpoints.

    Raises RequestTimeout when there is none that answers within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = _PAUSE
    while (remaining := deadline - time.monotonic()) > 0:
        try:
            supervisor = base.named_actor(SUPERVISOR_CLASS, SUPERVISOR_NAME, remaining)
            request = FindManager(deadline=deadline)
            reply = base.call(supervisor, request, max(0.0, deadline - time.monotonic()))
        except (StoreUnavailable, Undelivered, Unanswered):
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause *= 2
            continue
        if isinstance(reply, ManagerFound):
            return address_of(reply.address)
    msg = f"the actor system has no session manager that answers within {timeout:.1f} s: see its log"
    raise RequestTimeout(msg, timeout=timeout)


def join(settings: Settings, timeout: float) -> tuple[Any, Any]:
    """An ActorSystem and the address of its SessionManager; see :func:`coatcheck.system.join`."""
    deadline = time.monotonic() + timeout
    base, _ = join_base(settings, timeout)
    try:
        manager = find_manager(base, deadline - time.monotonic())
    except BaseException:
        base.shutdown()
        raise
    return system_over(base), manager
