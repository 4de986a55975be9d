"""Cookie headers that nobody sent in good faith, and what may come back."""

from __future__ import annotations

import random
from collections.abc import Iterator

RUBBISH = 300
"""Headers that are made up at random, the same ones each time."""

INJECTED = "injected-by-test"


def cookie_headers(token: str) -> Iterator[bytes]:
    """Headers around a real token, none of which may open another's session or break anything."""
    good = token.encode()
    name = b"__Host-id="
    yield b""
    yield b"=" * 1000 + b";" * 1000
    yield name + b"x" * 65_536
    yield name + good + b"; " + b"a=" + b"b" * 65_536
    yield b"; ".join([name + b"bad%d" % number for number in range(100)])
    yield b"; ".join([name + good] * 100)
    yield name + good[:-1] + bytes([good[-1] ^ 1])
    yield name + good + b"\x00"
    yield name + b'"' + good
    yield name + "токен".encode()
    yield name + b"\xff\xfe\xfd"
    yield name + b"%0d%0aSet-Cookie: " + INJECTED.encode()
    yield name + b"a\tb\x0bc\x0cd"
    yield b"__Host-id\xa0=" + good
    yield b"__host-id=" + good
    yield b", ".join([name + good] * 3)
    yield b"$Version=1; " + name + good + b"; $Path=/"
    random_bytes = random.Random(1929)
    for _ in range(RUBBISH):
        pieces = [good, name, b";", b"=", b" ", b'"', b",", b"\\", b"\xc3", b"\x7f", b"%00", good[:20], b"a"]
        yield b"".join(random_bytes.choices(pieces, k=random_bytes.randrange(1, 12)))
