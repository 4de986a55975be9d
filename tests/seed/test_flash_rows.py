"""Flashes: rows B8, B9, B12 of the table in this package."""

from __future__ import annotations

import os

import pytest

from coatcheck.errors import SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock

FLASH = FlashMessage.info("hi")


def test_b8_an_expired_session_has_no_mailbox(store: LmdbStore, clock: FakeClock) -> None:
    """What load calls expired takes no flash and gives none."""
    token, _ = store.create({}, flashes=[FLASH], lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)

    for verb in (lambda: store.add_flash(token, FLASH), lambda: store.take_flashes(token)):
        with pytest.raises(SessionMissing, match="expired"):
            verb()


def test_b9_a_flash_for_nobody_is_reported(store: LmdbStore) -> None:
    """Whoever adds a flash to a missing session gets to know it."""
    token, _ = store.create({})
    store.delete(token)

    with pytest.raises(SessionMissing, match="deleted"):
        store.add_flash(token, FLASH)


def test_b12_flashes_survive_a_lost_answer(store: LmdbStore) -> None:
    """A take whose answer never arrived can be asked for again, or undone."""
    token, _ = store.create({}, flashes=[FLASH])
    request = os.urandom(16)
    store.take_flashes(token, request_id=request)

    take_id, flashes = store.take_flashes(token, request_id=request)
    assert flashes == [FLASH]

    assert store.restore_flashes(token, take_id) == 1
    assert store.take_flashes(token)[1] == [FLASH]
