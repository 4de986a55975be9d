"""Thespian, put right for this process. Everything here that uses Thespian's TCP transport imports this module.

As it comes, Thespian listens on every interface and unpickles whatever arrives, before any check. That is changed in
its modules, for the whole process. A Thespian system of somebody else over TCP in the same process would be hit by
it, and is refused.
"""

from __future__ import annotations

import gc
import logging
import os
from datetime import timedelta
from typing import IO, Any

from thespian.system import multiprocCommon, systemCommon, transport, utilis
from thespian.system.transport import IPBase, TCPTransport, asyncTransportBase

from coatcheck.errors import ConfigurationError
from coatcheck.system.frames import FrameBuffer

LOOPBACK = "127.0.0.1"
BIND = "COATCHECK_BIND"
"""The variable by which the processes of a system know where to listen."""

_BASE = "THESPIAN_BASE_IPADDR"


def _foreign() -> ConfigurationError:
    msg = (
        "another Thespian system over TCP lives in this process, and coatcheck's wire accepts sealed frames only: "
        "run the two in different processes, or use coatcheck's direct lane here"
    )
    return ConfigurationError(msg)


class _NoSerializer:
    """Where Thespian's TCP transport has ``pickle``: whoever still asks for it is not of ours."""

    @staticmethod
    def dumps(_: object) -> bytes:
        raise _foreign()

    loads = dumps


def _open_privately(path: str, mode: str) -> IO[str]:
    """What Thespian's log opens its file with: by default that is readable for all. A rotated one keeps its mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)  # it may be there already
    return os.fdopen(descriptor, mode)


def _install() -> None:
    tcp: Any = TCPTransport
    # By type: isinstance asks for __class__, at which lazy objects, such as Django's settings or user, come to life.
    if any(issubclass(type(each), tcp.TCPTransport) for each in gc.get_objects()):
        raise _foreign()
    _settle(os.environ.get(BIND) or LOOPBACK)
    # Thespian's own log lies in the directory for temporary files, readable for all, and quotes messages. Off, unless
    # run_system.py has named a file in the state directory; and there for the owner only, like all that is in it.
    size = int(os.environ.get("THESPLOG_FILE_MAXSIZE", "65536")) if os.environ.get("THESPLOG_FILE") else 0
    utilis.thesplog_control(logging.WARNING, False, size)
    vars(utilis)["open"] = _open_privately
    tcp.serializer = _NoSerializer
    tcp.ReceiveBuffer = FrameBuffer
    # Every listener there, those of clients too; THESPIAN_BASE_IPADDR alone changes only what is advertised.
    IPBase.TCPv4ActorAddress.bindArgs = property(lambda self: ((os.environ[_BASE], self.bindname[1]),))
    # With enums in them addresses pickle in another way in each version of Python, and slowly.
    _plain_numbers(IPBase.TCPv4ActorAddress)
    # The admin looks for its logger's definitions under a name that it does not have, and dies with its logger.
    multiprocCommon.MultiProcAdmin.logDefs = property(lambda self: self.logdefs)
    multiprocCommon.MAX_ADMIN_STARTUP_DELAY = timedelta(seconds=20)  # 5 are too few where the first import compiles
    # Twenty idle clients would take all the slots of a sender; a reply that nobody fetches gives its slot back sooner.
    asyncTransportBase.MAX_PENDING_TRANSMITS = 4096
    transport.DEFAULT_MAX_TRANSMIT_PERIOD = timedelta(seconds=30)
    tcp.MAX_INCOMING_SOCKET_PERIOD = timedelta(seconds=30)
    # A burst of connections beyond this waits a second for its next try, whoever is in it.
    tcp.LISTEN_DEPTH = 4096
    # An actor that answers more than 4,480 times a second is put to sleep for a tenth of one.
    systemCommon.RATE_THROTTLE = 1_000_000
    _guard(tcp.TCPTransport)


def listen_on(address: str) -> None:
    """Listen on this address of the host from now on: the one at which others reach this process.

    Raises ConfigurationError when this process speaks with a system from another address: all that it has got has one.
    """
    if os.environ[_BASE] == address:
        return
    tcp: Any = TCPTransport
    if any(issubclass(type(each), tcp.TCPTransport) for each in gc.get_objects()):
        msg = f"this process listens on {os.environ[_BASE]} already, so bind cannot be {address!r}: use one for both"
        raise ConfigurationError(msg)
    _settle(address)


def _settle(address: str) -> None:
    os.environ[_BASE] = address
    IPBase.thisSystem.add_local_addr(address)


def _plain_numbers(address: Any) -> None:
    original = address.__init__

    def initialized(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.af, self.socktype = int(self.af), int(self.socktype)

    address.__init__ = initialized


def _guard(plain: Any) -> None:
    original = plain.__init__

    def guarded(self: Any, *args: Any) -> None:
        if not getattr(type(self), "sealed", False):
            raise _foreign()
        original(self, *args)

    plain.__init__ = guarded


_install()
