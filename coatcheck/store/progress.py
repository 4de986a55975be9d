"""How far a long piece of work is, for whoever looks at it from another thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Progress:
    """Written by the work, read by whoever waits for it."""

    stage: str = ""
    """What is being done, such as ``copying``."""

    done: int = 0
    """Of ``total``, in whatever unit the stage has."""

    total: int = 0
    """0 while it is not known."""

    file: Path | None = None
    """Where set, its size is what is done."""

    def begin(self, stage: str, total: int, file: Path | None = None) -> None:
        """The next stage."""
        self.stage, self.done, self.total, self.file = stage, 0, total, file

    def look(self) -> tuple[str, int, int]:
        """Stage, done, total. To be called from any thread."""
        if self.file is not None:
            try:
                return self.stage, self.file.stat().st_size, self.total
            except OSError:
                return self.stage, self.done, self.total
        return self.stage, self.done, self.total
