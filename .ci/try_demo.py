"""Run the README's demo as somebody at a terminal would: start it, open the page it names, press Ctrl-C.

Fails unless the page answers 200, the demo ends after Ctrl-C, and no process and no listener of it is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

START_SECONDS = 180  # includes making the environment
STOP_SECONDS = 30
LAST_SECONDS = 2  # for what is ending to be gone from /proc
# Set in the demo's environment, so in that of everything it starts, whatever session or parent that ends up with.
MARK = f"COATCHECK_TRY_DEMO={uuid.uuid4()}"
OUTPUT = Path(sys.argv[1]).with_suffix(".log")


def fail(why: str) -> NoReturn:
    """End everything of the demo, show what it said, and fail."""
    for pid in left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    print(OUTPUT.read_text(errors="replace"), f"demo: {why}", sep="\n", file=sys.stderr)
    sys.exit(1)


def left() -> list[int]:
    """List the processes that carry the mark; one that has ended but was not waited for carries nothing."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if MARK.encode() in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def answer(url: str) -> int | None:
    """Get the page's status, None as long as nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def main() -> None:
    """Start, look, stop, and look for leftovers."""
    name, value = MARK.split("=")
    with OUTPUT.open("wb") as log:
        demo = subprocess.Popen(
            ["bash", "-e", sys.argv[1]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, name: value},
            start_new_session=True,
        )
    url, status, deadline = "", None, time.monotonic() + START_SECONDS
    while status is None:
        if demo.poll() is not None:
            fail(f"ended by itself with {demo.returncode}")
        if time.monotonic() > deadline:
            fail(f"{url or 'no http:// address in its output'}: no answer within {START_SECONDS} s")
        time.sleep(0.2)
        if found := re.search(r"http://[^\s'\"]+", OUTPUT.read_text(errors="replace")):
            url = found.group().rstrip(".,;)")
            status = answer(url)
    if status != 200:
        fail(f"{url} answered {status}")
    print(f"demo: {url} answered 200 with {len(left())} processes running")

    os.killpg(demo.pid, signal.SIGINT)  # as Ctrl-C does
    try:
        code = demo.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        fail(f"still running {STOP_SECONDS} s after Ctrl-C")
    if code not in {0, 128 + signal.SIGINT, -signal.SIGINT}:
        fail(f"ended with {code} after Ctrl-C")
    deadline = time.monotonic() + LAST_SECONDS
    while left() and time.monotonic() < deadline:
        time.sleep(0.1)
    if pids := left():
        names = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in pids]
        fail(f"left behind: {names}")
    where = urlsplit(url)
    with socket.socket() as probe:
        if probe.connect_ex((where.hostname, where.port or 80)) == 0:
            fail(f"somebody still listens on {where.netloc}")
    print(f"demo: ended with {code}, nothing left")


main()
