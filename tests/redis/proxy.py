"""A way to the server on which answers get lost."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType

SIZE = 1 << 20


class Proxy:
    """Forwards to a port of this host; told to, it swallows one answer and breaks the connection, or goes silent."""

    def __init__(self, target: int, context: ssl.SSLContext | None = None) -> None:
        """``context``: speak TLS with whoever connects."""
        self._target = target
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._word: bytes | None = None
        self._silent = threading.Event()
        self.lost = 0
        """Answers swallowed so far."""
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose_answer_to(self, word: bytes) -> None:
        """The next request with this word in it reaches the server, and its answer nobody."""
        self._word = word

    def be_silent(self) -> None:
        """From now on requests reach the server and no answer comes back."""
        self._silent.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        doomed = False
        if self._context is not None:
            try:
                client = self._context.wrap_socket(client, server_side=True)
            except OSError:
                client.close()
                return
        server = socket.create_connection(("127.0.0.1", self._target))
        with client, server, selectors.DefaultSelector() as selector, suppress(OSError):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(SIZE)  # as much as a record of TLS holds: nothing is left waiting in it
                    if not data:
                        return
                    if source is client:
                        word = self._word
                        if word is not None and word in data:
                            self._word, doomed = None, True
                        server.sendall(data)
                    elif doomed:
                        self.lost += 1
                        return
                    elif not self._silent.is_set():
                        client.sendall(data)

    def __enter__(self) -> Proxy:  # noqa: PYI034 - Self is in typing only since Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
