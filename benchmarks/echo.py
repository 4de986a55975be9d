"""An actor as bare as can be. A room of its own: the processes of its system import nothing else."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor


class Echo(Actor):
    """Answers bytes with as many bytes as the first four of them say."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - Thespian's name
        """Thespian's own messages, such as the one that ends it, are not answered."""
        if isinstance(message, bytes):
            self.send(sender, bytes(int.from_bytes(message[:4], "big")))
