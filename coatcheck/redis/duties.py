"""Which duty a mode has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.errors import ConfigurationError
from coatcheck.redis.duty import Duty, Watch

if TYPE_CHECKING:
    from coatcheck.settings import Settings


def duty_of(settings: Settings) -> Duty:
    """The duty of a host with these settings. Raises ConfigurationError where it has none."""
    if settings.redis in ("standby", "shared"):
        return Watch(settings)
    msg = f"redis is {settings.redis or 'none'!r}: there is nothing to do in Redis"
    raise ConfigurationError(msg)
