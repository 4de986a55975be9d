"""The wire: how a process starts an actor system, joins one, and speaks with its actors. Every frame is sealed."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from thespian.actors import ActorAddress, ActorSystem, InvalidActorAddress, PoisonMessage, ThespianGeneration
from thespian.system import multiprocCommon
from thespian.system.messages.admin import (
    PendingActor,
    QueryAck,
    QueryExists,
    SystemShutdown,
    SystemShutdownCompleted,
)
from thespian.system.messages.multiproc import EndpointConnected
from thespian.system.multiprocCommon import MultiProcAdmin, detach_child, get_multiproc_context, startAdmin
from thespian.system.multiprocTCPBase import ActorSystemBase as TCPBase
from thespian.system.systemBase import BaseContext, ExternalOpsToActors, NewActorResponse, TransmitTrack
from thespian.system.transport import ReceiveEnvelope, SendStatus, TransmitIntent

from coatcheck.errors import ConfigurationError, RequestTimeout, StoreUnavailable
from coatcheck.messages import Reply, Request
from coatcheck.system import process
from coatcheck.system.prepared import LOOPBACK, listen_on
from coatcheck.system.seal import Seal
from coatcheck.system.transport import SealedInit, SealedTransport

_START_METHOD: Final = "spawn"  # fork would hand every descriptor of the starter to every actor
_LOOK: Final = timedelta(seconds=0.1)
_TELL_TIMEOUT: Final = 10.0
_instances = itertools.count(1)


class Undelivered(Exception):
    """Nobody is at that address: the message was certainly not read."""


class Unanswered(Exception):
    """No answer; whether the message was read is unknown. ``waited``: whether for the whole time allowed."""

    def __init__(self, *, waited: bool) -> None:
        super().__init__()
        self.waited = waited


class _Delivery(TransmitTrack):
    """Whether one message has been taken."""

    sent = False

    def transmit_done(self, _result: Any, _intent: Any) -> None:
        """It has been acknowledged."""
        self.sent = True


class _Speaker(ExternalOpsToActors):
    """What a client can do, over one endpoint: one request at a time, and only its own answer counts."""

    transport: SealedTransport
    place: Any = None
    """For the pool that it belongs to."""

    def __init__(self, admin: Any, transport: SealedTransport) -> None:
        ExternalOpsToActors.__init__(self, admin, transport)
        self._pid = os.getpid()
        self._turn = threading.Lock()
        self.strays = 0
        """Messages that were no answer to what was asked, and were dropped."""

    def call(self, target: Any, request: Request, timeout: float) -> Reply:
        """Send a request and wait up to ``timeout`` seconds for the reply with its id.

        Late answers to earlier requests, and answers to other people's, are dropped. Raises Undelivered, Unanswered.
        """
        self._check_process()
        deadline = time.monotonic() + timeout
        if not self._turn.acquire(timeout=max(0.0, timeout)):
            raise Unanswered(waited=True)
        try:
            self.transport.awaited, self.transport.awaited_gone = target, False
            watch = self._send(target, request)
            while True:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise Unanswered(waited=True)
                arrived = None if watch.failed else self._run_transport(remaining)
                if isinstance(arrived, ReceiveEnvelope):
                    message = arrived.message
                    if isinstance(message, Reply) and _is(message, request):
                        return message
                    if isinstance(message, PoisonMessage) and _is(message.poisonMessage, request):
                        raise Unanswered(waited=False)
                    self.strays += 1
                elif watch.failed:
                    if watch.failure == SendStatus.DeadTarget:
                        raise Undelivered
                    raise Unanswered(waited=False)
                elif self.transport.awaited_gone:
                    raise Unanswered(waited=False)
        finally:
            self.transport.awaited = None
            self._turn.release()

    def ask(self, anActor: Any, msg: Any, timeout: Any) -> Any:  # noqa: N803 - Thespian's names
        """As Thespian's, but a request of coatcheck gets its own reply or None, never one that came too late.

        A request without a deadline has that of the asker: what nobody waits for any more, such as taking flashes,
        is not carried out.
        """
        if not isinstance(msg, Request):
            self._check_process()
            return super().ask(anActor, msg, timeout)
        seconds = _seconds(timeout)
        if msg.deadline is None:
            msg = replace(msg, deadline=time.monotonic() + seconds)
        try:
            return self.call(anActor, msg, seconds)
        except (Undelivered, Unanswered):
            return None

    def tell(self, anActor: Any, msg: Any) -> None:  # noqa: N803
        """As Thespian's, but what cannot be delivered is an error, and said soon.

        Raises StoreUnavailable when nobody is there, RequestTimeout when it is not taken within 10 seconds.
        """
        self._check_process()
        deadline = time.monotonic() + _TELL_TIMEOUT
        with self._turn:
            watch = self._send(anActor, msg)
            while not (watch.sent or watch.failed) and (remaining := deadline - time.monotonic()) > 0:
                self._run_transport(remaining, txonly=True)
        if watch.failed:
            err = "the actor that this was told to is not there, or closed the connection: join again"
            raise StoreUnavailable(err)
        if not watch.sent:
            err = f"the actor did not take the message within {_TELL_TIMEOUT:.0f} s"
            raise RequestTimeout(err, timeout=_TELL_TIMEOUT)

    def _send(self, target: Any, message: Any) -> _Delivery:
        watch = _Delivery(self.transport, self.adminAddr)
        intent = TransmitIntent(target, message, onSuccess=watch.transmit_done, onError=watch.transmit_failed)
        self.transport.scheduleTransmit(None, intent)
        self.transport.settle()
        return watch

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            msg = "this endpoint was made before the fork, and the parent listens on it too: join again in the child"
            raise ConfigurationError(msg)

    def named_actor(self, actor: str, name: str, timeout: float) -> Any:
        """The address of the actor of this global name; the admin starts one of the class ``actor`` if there is none.

        Raises StoreUnavailable when the admin does not answer in time, or cannot start it.
        """
        deadline = time.monotonic() + timeout
        with closing(self.transport.external_transport_clone()) as own:
            response = NewActorResponse(own, self.adminAddr)
            request = PendingActor(actor, None, next(_instances), None, globalName=name)
            own.awaited = self.adminAddr
            own.scheduleTransmit(None, TransmitIntent(self.adminAddr, request, onError=response.transmit_failed))
            own.settle()
            while response.pending and not own.awaited_gone and (remaining := deadline - time.monotonic()) > 0:
                own.run(response, remaining)
        if response.actor_address:
            return response.actor_address
        reason = response.failure_message or ("it does not answer" if response.pending else "it is not there")
        msg = f"the actor system did not give the actor {name!r}: {reason}"
        raise StoreUnavailable(msg)


class _Context(_Speaker, BaseContext):
    """A private endpoint."""

    def __init__(self, admin: Any, transport: SealedTransport) -> None:
        _Speaker.__init__(self, admin, transport.external_transport_clone())


class JoinedBase(_Speaker, TCPBase):
    """A system that runs already. Joining one never starts one, and leaving does not stop it."""

    def __init__(self, seal: Seal, port: int, timeout: float, *, host: str = LOOPBACK, bind: str = LOOPBACK) -> None:
        """Join the admin at ``host`` and ``port``; ``bind`` is the address at which it reaches this process.

        Raises StoreUnavailable when nobody answers there within ``timeout`` seconds.
        """
        self._prepare(seal, port, bind)
        self.adminAddr = address_of(f"{host}:{port}")
        if not self._admin_answers(timeout):
            self.transport.close()
            msg = f"no actor system answers on port {port}"
            raise StoreUnavailable(msg)

    def _prepare(self, seal: Seal, port: int, bind: str) -> None:
        listen_on(bind)
        self.capabilities = {
            "Admin Port": port,
            "Process Startup Method": _START_METHOD,
            "Python Version": tuple(sys.version_info),
            "Thespian ActorSystem Name": "coatcheck",
            "Thespian ActorSystem Version": 2,
            "Thespian Generation": ThespianGeneration,
            "Thespian Version": str(int(time.time() * 1000)),
            "Thespian Watch Supported": True,
        }
        self.mpcontext = get_multiproc_context(self.capabilities)
        transport = SealedTransport(SealedInit(seal), self.capabilities, None, self.mpcontext)
        _Speaker.__init__(self, SealedTransport.getAdminAddr(self.capabilities), transport)

    def _admin_answers(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        self.transport.awaited, self.transport.awaited_gone = self.adminAddr, False
        watch = self._send(self.adminAddr, QueryExists())
        while not (watch.failed or self.transport.awaited_gone) and (remaining := deadline - time.monotonic()) > 0:
            arrived = self._run_transport(remaining)
            if isinstance(arrived, ReceiveEnvelope) and isinstance(arrived.message, QueryAck):
                return not arrived.message.inShutdown
        return False

    def external_clone(self) -> _Context:
        """A private endpoint."""
        return _Context(self.adminAddr, self.transport)

    def leave(self) -> None:
        """Give back the endpoint of this process."""
        self.transport.close()

    def shutdown(self) -> None:
        """Leave; it is whoever runs ``run_system.py`` who stops the system."""
        self.leave()


class StartedBase(JoinedBase):
    """A system that this process starts, and stops."""

    def __init__(self, seal: Seal, port: int, log_definitions: dict[str, Any], bind: str = LOOPBACK) -> None:
        """Raises Thespian's InvalidActorAddress when the admin does not come up, as on a port that is in use."""
        self._prepare(seal, port, bind)
        self._startAdmin(self.adminAddr, self.transport.myAddress, self.capabilities, log_definitions)

    def _startAdmin(self, adminAddr: Any, addrOfStarter: Any, capabilities: Any, logDefs: Any) -> None:  # noqa: N802, N803
        """As Thespian's, which waits to the end for an admin that was killed on its way, too."""
        others = set(process.children(os.getpid()))
        endpoint = self.transport.prepEndpoint(adminAddr, capabilities)
        more = (SealedTransport, adminAddr, capabilities, logDefs, self.mpcontext)
        between = self.mpcontext.Process(target=startAdmin, args=(MultiProcAdmin, addrOfStarter, endpoint, *more))
        between.start()
        detach_child(between)
        self.transport.connectEndpoint(endpoint)
        deadline = time.monotonic() + multiprocCommon.MAX_ADMIN_STARTUP_DELAY.total_seconds()
        while time.monotonic() < deadline and (between.is_alive() or process.sessions_of_children(others)):
            arrived = self.transport.run(None, _LOOK)
            if isinstance(arrived, ReceiveEnvelope) and isinstance(arrived.message, EndpointConnected):
                return
        self.leave()
        raise InvalidActorAddress(adminAddr, "an admin that has started")

    def answers(self, timeout: float) -> bool:
        """Whether the admin is there and not about to end."""
        return self._admin_answers(timeout)

    def stop(self, timeout: float) -> bool:
        """Ask the admin to stop everything; whether it says within ``timeout`` seconds that it has. Then leave."""
        deadline = time.monotonic() + timeout
        self.transport.awaited, self.transport.awaited_gone = self.adminAddr, False
        watch = self._send(self.adminAddr, SystemShutdown())
        stopped = False
        while not (stopped or watch.failed or self.transport.awaited_gone):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            arrived = self._run_transport(remaining)
            stopped = isinstance(arrived, ReceiveEnvelope) and isinstance(arrived.message, SystemShutdownCompleted)
        self.leave()
        return stopped


def system_over(base: JoinedBase) -> Any:
    """The ActorSystem that applications see."""
    return ActorSystem(systemBase=base, transientUnique=True)


def address_of(text: str) -> Any:
    """The actor address that is written ``host:port``."""
    return SealedTransport.getAddressFromString(text)


def text_of(address: ActorAddress) -> str:
    """``host:port`` of an actor address."""
    host, port = address.addressDetails.sockname[:2]
    return f"{host}:{port}"


def _is(message: Any, request: Request) -> bool:
    return getattr(message, "request_id", None) == request.request_id


def _seconds(timeout: Any) -> float:
    if timeout is None:
        return 365 * 86400.0
    return float(timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout)
