"""Encryption keys for tests."""

from __future__ import annotations

from typing import Final

NEW: Final = "the-newer-encryption-key-of-the-tests-0123456789"
OLD: Final = "the-older-encryption-key-of-the-tests-9876543210"
OTHER: Final = "some-other-encryption-key-of-the-tests-abcdef0"

ENCRYPTION_KEYS: Final = (NEW, OLD)
"""Newest first."""
