"""The codec deep down a stack, in small threads, and in the middle of itself."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from coatcheck import codec_packers, codec_types
from coatcheck.codec import pack, unpack
from tests.support.values import NOON, nested, printed_by


def test_what_packs_loads_far_down_the_stack() -> None:
    """The deepest value that is stored loads with all but 200 of the Python frames already taken."""
    data = pack(nested(16, lambda inner: (inner,), nested(484, lambda inner: [inner], 1)))

    def down(frames: int) -> Any:
        return down(frames - 1) if frames else unpack(data)

    frame, used = sys._getframe(), 0
    while frame.f_back is not None:
        frame, used = frame.f_back, used + 1
    assert pack(down(sys.getrecursionlimit() - 200 - used)) == data


def test_the_end_of_the_stack_is_not_blamed_on_the_value() -> None:
    """Out of stack, packing and loading say RecursionError; no value is called unstorable or broken for it."""
    value = {"a": nested(16, lambda inner: (inner,), NOON)}
    data = pack(value)
    outcomes = set()

    def down() -> None:
        try:
            down()
        except RecursionError:
            outcomes.add("bottom")
        for attempt in (lambda: unpack(data), lambda: pack(value)):
            try:
                outcomes.add("fine" if attempt() in (value, data) else "wrong")
            except RecursionError:
                outcomes.add("out of stack")

    down()

    assert outcomes == {"bottom", "out of stack", "fine"}


def test_a_small_thread_loads_the_deepest_value() -> None:
    """A thread with 1 MiB of stack, as Alpine Linux gives, packs and loads the deepest value without a crash."""
    program = """if True:
        import threading
        from coatcheck.codec import pack, unpack
        value = 1
        for _ in range(484): value = [value]
        for _ in range(16): value = (value,)
        done = []
        threading.stack_size(1 << 20)
        thread = threading.Thread(target=lambda: done.append(unpack(pack(value)) == value))
        thread.start(); thread.join()
        print(done)
    """

    assert printed_by(program) == "[True]"


def test_threads_do_not_share_a_packer() -> None:
    """Threads that pack at the same time each get their own value's bytes."""
    values = [[{"n": n, "when": NOON, "t": (n, "x" * n)} for n in range(start, start + 20)] for start in range(8)]
    expected = [pack(value) for value in values]
    wrong: list[int] = []
    start = threading.Barrier(len(values))

    def work(place: int) -> None:
        start.wait()
        wrong.extend(place for _ in range(100) if pack(values[place]) != expected[place])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(place,)) for place in range(len(values))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert not wrong


@pytest.mark.parametrize(
    "value", [["before", NOON, "after"], ["before", (NOON, NOON), "after"]], ids=["quick", "careful"]
)
def test_a_pack_in_the_middle_of_a_pack_disturbs_neither(value: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler or finalizer that packs while a pack is running gets its bytes, and so does the other."""
    expected = pack(value)
    original = codec_types.encoder_of
    inner: list[bytes] = []
    running: list[bool] = []

    def interrupted(kind: type) -> Any:
        if not running:
            running.append(True)
            inner.append(pack(value))
            running.clear()
        return original(kind)

    monkeypatch.setattr(codec_packers, "encoder_of", interrupted)

    assert pack(value) == expected
    assert set(inner) == {expected}
