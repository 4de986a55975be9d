"""Frames on a stream."""

from __future__ import annotations

import logging

import pytest

from coatcheck.system.frames import MAX_FRAME, BadFrames, FrameBuffer, FrameRefused, framed


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_a_frame_arrives_in_pieces(piece: int) -> None:
    """However the bytes are cut, the frame is whole when the last has come, and what follows it is kept."""
    stream = framed(b"x" * 20) + b"5>next!"
    buffer = FrameBuffer()
    while stream and not buffer.isDone():
        assert buffer.completed() is None
        buffer.addMore(stream[:piece])
        stream = stream[piece:]

    completed = buffer.completed()

    assert completed is not None
    payload, extra = completed
    assert payload == b"x" * 20
    assert extra + stream == b"5>next!"


def test_reading_never_takes_more_than_the_frame_needs() -> None:
    """As long as a reader follows ``remainingAmount``, nothing of the next frame gets in once the length is known."""
    buffer = FrameBuffer()
    stream = framed(b"y" * 1000) + framed(b"z")
    while not buffer.isDone():
        amount = buffer.remainingAmount()
        buffer.addMore(stream[:amount])
        stream = stream[amount:]

    assert buffer.completed() == (b"y" * 1000, b"")
    assert stream == framed(b"z")


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n",
        b"-1>",
        b"0x10>",
        b" 12>",
        b"1234567890>",
        b"1234567890",
        b">",
        "١٢>".encode(),
        b"%d>" % (MAX_FRAME + 1),
    ],
)
def test_what_is_no_frame_is_refused_at_once(stream: bytes) -> None:
    """Anything but a plain length within the limit ends it, without waiting for bytes that somebody announces."""
    with pytest.raises(FrameRefused):
        FrameBuffer().addMore(stream)


def test_each_peer_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Bad frames are counted, and of each peer the first one is logged."""
    bad = BadFrames()
    for peer in ("a", "b", "a", "a"):
        bad.count(peer, "its seal is not right")
        bad.log(logging.getLogger("test"))

    assert bad.total == 4
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "dropped a frame from a",
        "dropped a frame from b",
    ]


def test_a_flood_of_peers_does_not_fill_the_memory() -> None:
    """Beyond a thousand peers they are counted together."""
    bad = BadFrames()
    for number in range(5000):
        bad.count(str(number), "whatever")

    assert bad.total == 5000
    assert len(bad._counts) <= 1001
    assert len(bad._unsaid) <= 1001
