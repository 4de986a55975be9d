"""Failures: the one form in which every actor says that a request was not carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coatcheck.messages.packing import Reply, message


@message
class RequestFailed(Reply):
    """The request was not carried out; ``coatcheck.system.failures`` turns it into the error it stands for."""

    kind: str
    """The name of a class in ``coatcheck.errors``, or ``TypeError``, ``ValueError``, ``NotImplementedError``;
    ``Unrecognized`` for a message that the actor has no handler for, ``Internal`` for a mistake of coatcheck's own."""

    text: str
    """What to tell people. Of an internal mistake only class and place."""

    evidence: Mapping[str, Any]
    """The attributes of the error. Never a token, never session data."""
