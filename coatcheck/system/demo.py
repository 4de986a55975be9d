"""The demo: the shop of ``examples/flask_shop`` under gunicorn with two workers, beside a running actor system."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.system.files import Whereabouts
from coatcheck.system.process import end_with_parent

if TYPE_CHECKING:
    from types import FrameType

WORKERS: Final = 2
THREADS: Final = 8
"""Of each worker: a browser's six connections to a host are served at the same time, which is what the lab is about."""

_PATIENCE: Final = 30.0
_STOP_WITHIN: Final = 10.0

_SYSTEM: Final = "the actor system"
_SERVER: Final = "the shop"

_ROOT: Final = Path(__file__).resolve().parents[2]
_SHOP: Final = _ROOT / "examples" / "flask_shop"


def demo(home: str | os.PathLike[str], *, lane: str, port: int) -> int:
    """Serve the shop on ``port`` until SIGTERM or SIGINT; the exit code.

    ``home`` is the state directory, ``lane`` how the shop reaches its sessions. Raises ConfigurationError when
    something that it needs is missing, StoreUnavailable when it does not come up.
    """
    _look_around(port)
    return _Demo(Path(home).absolute(), lane, port).run()


def _look_around(port: int) -> None:
    if not 0 < port < 65536:
        msg = f"port is {port}: use 1 to 65535"
        raise ConfigurationError(msg)
    if not (_SHOP / "app.py").exists():
        msg = f"there is no shop in {_SHOP}: the demo runs from a checkout, not from an installation"
        raise ConfigurationError(msg)
    missing = [name for name in ("flask", "gunicorn") if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"the demo needs {' and '.join(missing)}: pip install 'coatcheck[demo]'"
        raise ConfigurationError(msg)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            msg = f"port {port}: {error.strerror}; choose another with --port"
            raise ConfigurationError(msg) from error


class _Demo:
    """Two children: the actor system, and gunicorn. When one ends, so does the other."""

    def __init__(self, home: Path, lane: str, port: int) -> None:
        self._home, self._lane, self._port = home, lane, port
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def run(self) -> int:
        """Until a signal, or until a child ends."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        try:
            self._start_system()
            if not self._stopping:
                self._start_shop()
            self._announce()
            while not self._stopping and all(child.poll() is None for child in self._children.values()):
                time.sleep(0.1)
            if self._stopping:
                return 0
            self._say_what_ended()
            return 1
        finally:
            self._end()

    def _start_system(self) -> None:
        arguments = [sys.executable, str(_ROOT / "run_system.py"), "--home", str(self._home), "--log-level", "WARNING"]
        self._start(_SYSTEM, arguments, stdout=subprocess.DEVNULL)
        self._await(_SYSTEM, self._system_is_there)

    def _system_is_there(self) -> bool:
        with suppress(StoreUnavailable):
            return Whereabouts.read(self._home).pid == self._children[_SYSTEM].pid
        return False

    def _start_shop(self) -> None:
        arguments = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--threads", str(THREADS)]
        arguments += ["--bind", f"127.0.0.1:{self._port}", "--log-level", "warning", "--graceful-timeout", "5"]
        arguments += ["--chdir", str(_SHOP), "app:create_app()"]
        paths = [str(_ROOT), str(_SHOP), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._start(_SERVER, arguments, PYTHONPATH=os.pathsep.join(paths))
        self._await(_SERVER, self._shop_answers)

    def _shop_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _start(self, what: str, arguments: list[str], *, stdout: int | None = None, **environ: str) -> None:
        # In a group of its own: Ctrl-C at the terminal is for this process, which then ends its children in order.
        me = os.getpid()
        self._children[what] = subprocess.Popen(  # noqa: S603 - what is started is named here
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            env={**os.environ, "COATCHECK_HOME": str(self._home), "COATCHECK_LANE": self._lane, **environ},
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(me),  # noqa: PLW1509 - there are no threads here
        )

    def _await(self, what: str, there: Callable[[], bool]) -> None:
        child = self._children[what]
        deadline = time.monotonic() + _PATIENCE
        while not self._stopping and not there():
            if child.poll() is not None or time.monotonic() > deadline:
                why = "" if child.returncode is None else f", it ended with {_how(child.returncode)}"
                msg = f"{what} does not come up{why}: see above"
                raise StoreUnavailable(msg)
            time.sleep(0.05)

    def _announce(self) -> None:
        if self._stopping:
            return
        lines = (
            f"The shop is open: http://127.0.0.1:{self._port}/",
            f"  sessions  in {self._home}, reached by the {self._lane} lane",
            f"  workers   {WORKERS}; the last line of each page says which one served it",
            "  stop      Ctrl-C",
        )
        print("\n".join(lines), flush=True)  # noqa: T201 - for whoever started it

    def _say_what_ended(self) -> None:
        for what, child in self._children.items():
            if child.poll() is not None:
                line = f"coatcheck: {what} (process {child.pid}) ended with {_how(child.returncode)}, so the demo ends"
                print(line, file=sys.stderr, flush=True)  # noqa: T201 - for whoever started it

    def _end(self) -> None:
        # The shop first: it still saves what is in its hands.
        for child in reversed(self._children.values()):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(_STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True


def _how(code: int) -> str:
    """How a process ended, from its return code."""
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
