"""The actor system, for the tests of that lane."""

from __future__ import annotations

from tests.flask.conftest import system

__all__ = ["system"]
