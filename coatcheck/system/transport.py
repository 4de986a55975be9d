"""The sealed transport: Thespian's TCP transport, with a seal on every frame and without its long silences."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from datetime import timedelta
from typing import Any, Final

from thespian.actors import ActorAddress, DeadEnvelope
from thespian.system.transport import ExternalInterfaceTransportInit, ReceiveEnvelope, SendStatus
from thespian.system.transport.TCPTransport import (
    ExternalTransportCopy,
    TCPEndpoint,
    TCPIncomingPersistent,
    TCPTransport,
    opsKey,
)
from thespian.system.utilis import thesplog

from coatcheck.errors import ConfigurationError
from coatcheck.system import prepared, process
from coatcheck.system.frames import MAX_FRAME, FrameRefused, bad_frames, framed
from coatcheck.system.payload import ACK, REFUSED, read, sender_of, write
from coatcheck.system.room import in_the_way
from coatcheck.system.seal import MAC_SIZE, Seal

_prepared = prepared  # imported for what it does, before anything of Thespian

_ADMIN_ADOPTED: Final = 10.0
_RETRY: Final = timedelta(seconds=1)
_MAX_KNOWN: Final = 10_000


class SealedInit(ExternalInterfaceTransportInit):
    """For the first transport of a process that joins or starts a system."""

    def __init__(self, seal: Seal) -> None:
        self.seal = seal


class SealedCopy(ExternalTransportCopy):
    """For one more endpoint of such a process."""

    def __init__(self, seal: Seal) -> None:
        self.seal = seal


class SealedEndpoint(TCPEndpoint):
    """For a process that is started: what it needs to know, the seal too, comes through the pipe that starts it."""

    def __init__(self, seal: Seal, *args: Any) -> None:
        super().__init__(*args)
        self.seal = seal
        self.parent = os.getpid()

    @property
    def is_admin(self) -> bool:
        """The admin alone has its address assigned. It starts through a process between, and detaches itself."""
        return self.args[1] is not None

    def end_with_parent(self) -> None:
        """See that no actor outlives its system: when its parent ends, or has ended before this, a process ends."""
        if self.is_admin:
            ends = process.end_with_parent(self.parent, signal.SIGKILL, wait=_ADMIN_ADOPTED)
        else:
            ends = process.end_with_parent(self.parent)
        if not ends:
            os._exit(1)


class SealedTransport(TCPTransport):
    """A TCP transport on loopback that hears and says sealed frames only.

    The class is pickled by reference for the processes that a system starts, so importing this module there is what
    prepares Thespian in them.
    """

    sealed = True

    def __init__(self, init: Any, *args: Any) -> None:
        seal = getattr(init, "seal", None)
        if not isinstance(seal, Seal):
            msg = "a coatcheck transport needs a seal: start systems with run_system.py, join them by coatcheck.system"
            raise ConfigurationError(msg)
        self._seal = seal
        self._pid = os.getpid()
        self._ack = framed(seal.put(ACK))
        self._refusal = framed(seal.put(REFUSED))
        self.outside = not isinstance(init, SealedEndpoint)
        """Whether this belongs to a client, and not to one of the system's own processes."""
        self.awaited: Any = None
        """The address of the actor whose answer the client waits for."""
        self.awaited_gone = False
        """Set when that actor has closed the connection, as one does that ends."""
        if isinstance(init, SealedEndpoint):
            init.end_with_parent()
        super().__init__(init, *args)
        self._sender = sender_of(*self.myAddress.addressDetails.sockname[:2])

    # Making more of them ------------------------------------------------------------------------------------------

    def external_transport_clone(self) -> SealedTransport:
        """One more endpoint in this process."""
        return SealedTransport(SealedCopy(self._seal), self._adminAddr, self.txOnly, False)

    def prepEndpoint(self, assignedLocalAddr: Any, capabilities: Any) -> SealedEndpoint:  # noqa: N802, N803
        """What the process of a new actor gets to know."""
        return SealedEndpoint(self._seal, *super().prepEndpoint(assignedLocalAddr, capabilities).args)

    def close(self) -> None:
        """Give back every socket now; Thespian leaves most of them to the garbage collector."""
        if os.getpid() != self._pid:
            # The parent goes on with these connections: close the copies, but never say goodbye on them.
            for incoming in getattr(self, "_incomingSockets", {}).values():
                incoming._openSock.close()  # noqa: SLF001
            self._incomingSockets: dict[Any, Any] = {}
        for idle in getattr(self, "_openSockets", {}).values():
            idle.socket.close()
        self._openSockets: dict[Any, Any] = {}
        for intent in getattr(self, "_transmitIntents", {}).values():
            if hasattr(intent, "socket"):
                intent.socket.close()
        listening = getattr(self, "socket", None)
        super().close()
        if listening is not None:
            listening.close()

    def __del__(self) -> None:
        # At the end of the interpreter the modules that this needs may be gone before it is, contextlib among them.
        try:  # noqa: SIM105
            self.close()
        except Exception:  # noqa: BLE001, S110
            pass

    # Sending ------------------------------------------------------------------------------------------------------

    def serializer(self, intent: Any) -> bytes:
        """The frame of a message. Nothing for dead letters: they would carry session data to the admin."""
        if isinstance(intent.message, DeadEnvelope):
            return b""
        payload = write(self._sender, intent.message)
        if len(payload) > MAX_FRAME - MAC_SIZE:
            msg = f"a message of {len(payload)} bytes does not go over the wire: {MAX_FRAME - MAC_SIZE} do"
            raise ValueError(msg)
        return framed(self._seal.put(payload))

    def settle(self) -> None:
        """Tell those who wait for a transmission that ended without the loop, as a refused connection does."""
        ended = self._finished_intents[:]
        del self._finished_intents[:]
        for intent, status in ended:
            intent.tx_done(status)

    def _scheduleTransmitActual(self, intent: Any, has_exclusive_flag: bool = False) -> None:  # noqa: FBT001, FBT002, N802
        intent.transmit_retry_period = _RETRY  # Thespian waits for 35 seconds
        super()._scheduleTransmitActual(intent, has_exclusive_flag)

    def interrupt_wait(self, signal_shutdown: bool = False, check_children: bool = False) -> None:  # noqa: FBT001, FBT002
        """Wake the loop of this process; a client has none, its callers run their endpoints themselves."""
        if not self.outside:
            super().interrupt_wait(signal_shutdown, check_children)

    def _next_XMIT_1(self, intent: Any) -> bool:  # noqa: N802
        # On a connection whose other end is gone a send seems to work, and its failure would be found much later.
        key = opsKey(intent.targetAddr)
        idle = self._openSockets.get(key)
        if idle is not None and _closed(idle.socket):
            idle.socket.close()
            del self._openSockets[key]
        return bool(super()._next_XMIT_1(intent))

    def _next_XMIT_6(self, intent: Any) -> bool:  # noqa: N802
        # Whether a client sends once more is for its caller to say: the actor may have had the message.
        if self.outside:
            return bool(self._finishIntent(intent, SendStatus.Failed))
        return bool(super()._next_XMIT_6(intent))

    def _check_XMIT_4_done(self, intent: Any, received: bytes) -> bool:  # noqa: N802
        try:
            intent.ackbuf.addMore(received)
        except FrameRefused as refused:
            return self._unanswered(intent, str(refused))
        if not intent.ackbuf.isDone():
            return True
        sealed, intent.extraRead = intent.ackbuf.completed()
        payload = self._seal.take(sealed)
        if payload is None:
            return self._unanswered(intent, "its seal is not right")
        if payload in (ACK, REFUSED):
            intent.result = SendStatus.Sent if payload == ACK else SendStatus.BadPacket
            intent.stage = self._XMITStepFinishCleanup
            return bool(self._nextTransmitStep(intent))
        # Both sides have sent at once over the same connection: this is a message, the ACK is yet to come.
        if not self._accept(payload, TCPIncomingPersistent(intent.targetAddr, intent.socket)):
            return self._unanswered(intent, "it cannot be read")
        received, intent.extraRead = intent.extraRead, b""
        intent.ackbuf = type(intent.ackbuf)()
        return self._check_XMIT_4_done(intent, received) if received else True

    def _unanswered(self, intent: Any, why: str) -> bool:
        _dropped(_peer(intent.socket), why)
        intent.stage = self._XMITStepRetry
        return bool(self._nextTransmitStep(intent))

    # Receiving ----------------------------------------------------------------------------------------------------

    def _acceptNewIncoming(self) -> None:  # noqa: N802
        super()._acceptNewIncoming()
        self._make_room()

    def _handlePossibleIncoming(  # noqa: N802
        self,
        incomingSocket: Any,  # noqa: N803
        fileno: int,
        closed: bool = False,  # noqa: FBT001, FBT002
        has_exclusive_flag: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        unfinished = super()._handlePossibleIncoming(incomingSocket, fileno, closed, has_exclusive_flag)
        # Without a descriptor it is Thespian's round of those that have expired, in which none may be taken away.
        if unfinished is None or fileno < 0:
            return unfinished
        self._make_room(unfinished)
        return unfinished if unfinished.socket else None

    def _make_room(self, *heard: Any) -> None:
        # Thespian takes out a connection that it reads, and puts it back at the end: they are in the order of being
        # heard.
        for each in in_the_way([*self._incomingSockets.values(), *heard]):
            _dropped(_peer(each.socket), "too much is waiting that is not whole")
            self._incomingSockets.pop(each.socket.fileno(), None)
            each.close()

    def _handleReadableIncoming(self, inc: Any, has_exclusive_flag: bool = False) -> Any:  # noqa: FBT001, FBT002, N802
        sock, sender = inc.socket, inc.fromAddress
        peer = _peer(sock)
        try:
            received = sock.recv(min(1024 * 1024, inc.remainingSize()))
        except (BlockingIOError, InterruptedError):
            if not inc._expires.view().expired():  # noqa: SLF001
                return inc
            received = b""
        except OSError:
            received = b""
        if not received:
            inc.close()
            if self.awaited is not None and sender == self.awaited:
                self.awaited_gone = True
                self.abort_run()
            return None
        try:
            inc.addData(received)
        except FrameRefused as refused:
            _dropped(peer, str(refused))
            inc.close()
            return None
        return self._addedDataToIncoming(inc, has_exclusive_flag=has_exclusive_flag)

    def _addedDataToIncoming(  # noqa: N802
        self,
        inc: Any,
        skipFinish: bool = False,  # noqa: FBT001, FBT002, N803
        has_exclusive_flag: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        while inc.receivedAllData():
            sealed, extra = inc.data
            payload = self._seal.take(sealed)
            if payload is None:
                _dropped(_peer(inc.socket), "its seal is not right")
                inc.close()
                return None
            if not self._accept(payload, inc):
                inc.close()
                return None
            if not extra:
                if not skipFinish:
                    self._finishIncoming(inc, inc.fromAddress)
                return None
            inc = TCPIncomingPersistent(inc.fromAddress, inc.socket)
            try:
                inc.addData(extra)
            except FrameRefused as refused:
                _dropped(_peer(inc.socket), str(refused))
                inc.close()
                return None
        return inc

    def _accept(self, payload: bytes, inc: Any) -> bool:
        """Take in one message and acknowledge it. The seal was right: what fails here is a mistake, no attack."""
        try:
            sender, message = read(payload)
            address = _address(sender)
        except Exception as error:  # noqa: BLE001 - whatever broken bytes make pickle raise
            _dropped(_peer(inc.socket), f"it cannot be read ({type(error).__name__})")
            with contextlib.suppress(OSError):
                inc.socket.send(self._refusal)
            return False
        # A sender that is gone has no use for the ACK; its message counts all the same.
        with contextlib.suppress(OSError):
            inc.socket.send(self._ack)
        inc.fromAddress = address
        self._incomingEnvelopes.append(ReceiveEnvelope(address, message))
        return True


def _address(text: str) -> Any:
    """The address of a sender. Its details are shared: making them asks the resolver."""
    details = _details.get(text)
    if details is None:
        if len(_details) >= _MAX_KNOWN:
            _details.clear()
        details = _details[text] = TCPTransport.getAddressFromString(text).addressDetails
    return ActorAddress(details)


_details: dict[str, Any] = {}


def _closed(sock: socket.socket) -> bool:
    """Whether the other end of an idle connection has closed it."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True


def _dropped(peer: str, why: str) -> None:
    # In the admin and its logger nobody else will say so.
    if bad_frames.count(peer, why):
        thesplog("dropped a frame from %s: %s", peer, why, level=logging.WARNING)


def _peer(sock: Any) -> str:
    try:
        host: str = sock.getpeername()[0]
    except OSError:
        return "somebody"
    return host
