"""Whether the cookie is Secure, and whether a browser will send it back."""

from __future__ import annotations

import os
import re
from typing import Any, Final

from coatcheck.errors import ConfigurationError

SECURE: Final = "COATCHECK_SECURE"
"""The setting, in the environment too."""

_TEXTS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_LOOPBACK: Final = re.compile(r"(?:(?:.+\.)?localhost\.?|127(?:\.[0-9]+){3}|\[::1\])(?::[0-9]*)?", re.IGNORECASE)


def as_secure(value: Any) -> bool:
    """A value of ``COATCHECK_SECURE``: True where it is None; text as an environment has it: 1, true, yes, 0, ...

    Raises ConfigurationError for any other.
    """
    if value is None:
        return True
    if isinstance(value, str):
        value = _TEXTS.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        msg = f"{SECURE} is {value!r}: use True or False, or in the environment one of {', '.join(_TEXTS)}"
        raise ConfigurationError(msg)
    return value


def secure_in_environment() -> str | None:
    """``COATCHECK_SECURE`` of the environment; None where it is not set."""
    return os.environ.get(SECURE, "").strip() or None


def is_loopback(host: str) -> bool:
    """Whether a ``Host`` names this machine, to which browsers send Secure cookies over plain http too."""
    return _LOOPBACK.fullmatch(host) is not None
