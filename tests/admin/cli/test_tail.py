"""``coatcheck tail`` and ``top``, while things happen."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from statistics import median

from tests.admin.cli.conftest import Shop
from tests.admin.cli.running import COMMAND, PATIENCE, ROOT, coatcheck


@contextmanager
def following(home: Path, *arguments: str) -> Iterator[Queue[tuple[float, str]]]:
    """``tail`` in a process; what it says, and when."""
    lines: Queue[tuple[float, str]] = Queue()
    with subprocess.Popen(
        [*COMMAND, "tail", "--home", str(home), *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put((time.monotonic(), line))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(PATIENCE)
            reader.join(PATIENCE)
        assert code == 0


def test_events_come_at_once(home: Path, shop: Shop) -> None:
    """What happens is shown as it happens: half of the events within a fifth of a second, on a busy machine too."""
    with following(home, "-n", "1", "--json") as lines:
        first = json.loads(lines.get(timeout=PATIENCE)[1])
        assert first["kind"] in {"created", "rotated"}
        late = []
        token = shop.ann
        for _ in range(7):
            rotated, _ = shop.client.rotate(token)
            done = time.monotonic()
            assert rotated is not None
            shop.tokens.append(rotated)
            token = rotated
            shown, line = lines.get(timeout=PATIENCE)
            assert json.loads(line)["session"] == shop.handle("ann")
            assert token not in line
            late.append(shown - done)
    assert median(late) < 0.2, late


def test_filters(home: Path, shop: Shop) -> None:
    """Only what was asked for, before and while following."""
    with following(home, "-n", "5", "--user", "bob") as lines:
        assert "principal=bob" in lines.get(timeout=PATIENCE)[1]
        shop.client.rotate(shop.ann)
        shop.client.delete(shop.bob)
        line = lines.get(timeout=PATIENCE)[1]
        assert "deleted" in line
        assert "principal=bob" in line

    told = coatcheck(home, "tail", "--no-follow", "--session", shop.handle("ann"), "--kind", "rotated", "--json").out
    assert [json.loads(line)["kind"] for line in told.splitlines()] == ["rotated"]
    assert coatcheck(home, "tail", "--no-follow", "-n", "0").out == ""


def test_top_counts_what_workers_do(home: Path, shop: Shop) -> None:
    """The rates of this process, as another one sees them."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.005):
            shop.client.load(shop.ann)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        said = coatcheck(home, "top", "--interval", "2.5", "-n", "1", "--json")
        shown = coatcheck(home, "top", "--interval", "1.5", "-n", "1")
    finally:
        stop.set()
        worker.join()
    assert said.json["rates"]["store.load"] > 1
    assert said.json["stats"]["sessions"] == 4
    assert "store.load" in shown.out
