"""Flash messages: shown once, to one browser."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

LEVELS: Final = ("success", "info", "warning", "error")
"""The four preset levels; any other text is a level too (Flask calls it a category)."""


@dataclass(frozen=True, repr=False)
class FlashMessage:
    """One message for a mailbox: level first, then text (Flask's ``flash`` has them the other way round).

    The text is session data and is not in ``repr``.
    """

    level: str
    """Any text; the presets are ``success``, ``info``, ``warning`` and ``error``."""

    message: str
    """What the user reads. Markup stays markup."""

    title: str | None = None
    """A headline, or None."""

    def __post_init__(self) -> None:
        """Raise TypeError for fields that are not text."""
        if not isinstance(self.level, str):
            msg = f"a flash level is a str, not {type(self.level).__name__}"
            raise TypeError(msg)
        if not (self.title is None or isinstance(self.title, str)):
            msg = f"a flash title is a str or None, not {type(self.title).__name__}"
            raise TypeError(msg)

    @classmethod
    def success(cls, message: str, title: str | None = None) -> FlashMessage:
        """A message of level ``success``."""
        return cls("success", message, title)

    @classmethod
    def info(cls, message: str, title: str | None = None) -> FlashMessage:
        """A message of level ``info``."""
        return cls("info", message, title)

    @classmethod
    def warning(cls, message: str, title: str | None = None) -> FlashMessage:
        """A message of level ``warning``."""
        return cls("warning", message, title)

    @classmethod
    def error(cls, message: str, title: str | None = None) -> FlashMessage:
        """A message of level ``error``."""
        return cls("error", message, title)

    def with_title(self, title: str) -> FlashMessage:
        """The same message under this headline."""
        return replace(self, title=title)

    @property
    def css_class(self) -> str:
        """``flash-`` and the level."""
        return f"flash-{self.level}"

    def __repr__(self) -> str:
        return f"FlashMessage(level={self.level!r}, ...)"
