"""Handles: what they mean, and that nobody's session is taken for another's."""

from __future__ import annotations

import pytest

from coatcheck.admin.reading.handles import (
    HandleAmbiguous,
    HandleUnknown,
    among,
    is_handle,
    live,
    resolve,
    shortened,
)
from coatcheck.client import SessionClient
from coatcheck.store.contract import SessionInfo


def info(sid: str) -> SessionInfo:
    """A session of this sid."""
    return SessionInfo(sid, None, 0, 0, 0)


A, B, C = ("0123456789abcdef" + last * 16 for last in "012")


def test_a_beginning_is_enough(client: SessionClient) -> None:
    """Eight digits, in upper case too, and the whole sid."""
    sids = [client.create({})[1].sid for _ in range(20)]

    for sid in sids:
        assert live(client, sid[:8]).sid == sid
        assert resolve(client, sid[:12].upper()) == sid
        assert resolve(client, sid) == sid


@pytest.mark.parametrize("handle", ["", "0123456", "xyzxyzxy", "0" * 33, "0123 567", "ffffffffffffffff"])
def test_what_means_none_is_refused(client: SessionClient, handle: str) -> None:
    """What is too short, no hex, or nobody's: an error that says what a handle is."""
    client.create({})

    with pytest.raises(HandleUnknown, match="8 to 32 hex digits") as caught:
        resolve(client, handle)
    assert caught.value.handle == handle


def test_several_are_named(client: SessionClient) -> None:
    """What fits several means none of them, and the error has handles that tell them apart."""
    with pytest.raises(HandleAmbiguous) as caught:
        among([info(A), info(B), info(C)], "01234567")

    assert caught.value.fitting == tuple(each[:17] for each in (A, B, C))
    assert among([info(A), info(B)], caught.value.fitting[1]).sid == B
    with pytest.raises(HandleAmbiguous):
        resolve(client, A[:8], ended=[A, B])


def test_one_that_has_ended_has_a_handle_too(client: SessionClient) -> None:
    """A handle finds what is live, and the sids that it is told of; one that is both is one."""
    sid = client.create({})[1].sid

    assert resolve(client, sid[:8], ended=[sid]) == sid
    assert resolve(client, A[:8], ended=[A]) == A


def test_the_first_and_the_last_sid_have_handles(client: SessionClient) -> None:
    """The ends of all sids are no special case."""
    assert list(shortened(["0" * 32])) == ["0" * 32]
    for handle in ("0" * 8, "f" * 8):
        with pytest.raises(HandleUnknown):
            live(client, handle)


def test_shortened_tells_apart() -> None:
    """The shortest that no other of the list begins with, eight digits at least."""
    assert shortened([A, B, "f" * 32, A]) == {A: A[:17], B: B[:17], "f" * 32: "f" * 8}
    assert shortened([]) == {}
    assert is_handle("0123abcd")
