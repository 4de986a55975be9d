"""What is visited and killed: two web servers, one on each lane, and the actor system, all on one state directory."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.support.servers import WebServer
from tests.system.running import RunningSystem

LANES: Final = ("direct", "actor")
RESTART_AFTER: Final = 0.1


class Stage:
    """A context manager: everything runs inside of it, and nothing afterwards."""

    def __init__(self, place: Path) -> None:
        """``place`` is a directory for state and logs."""
        self.home = place / "state"
        self._place = place
        self.servers = {
            lane: WebServer(
                "gunicorn",
                "tests.chaos.site:create_app()",
                place / f"{lane}.log",
                "--threads=8",
                COATCHECK_HOME=str(self.home),
                COATCHECK_LANE=lane,
            )
            for lane in LANES
        }
        self._system: RunningSystem | None = None
        self._systems: list[RunningSystem] = []
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self.exit_codes: list[int] = []
        """Of the runners that have ended, the last of them by SIGTERM."""
        self._open = contextlib.ExitStack()

    @property
    def runner(self) -> int | None:
        """The process of run_system.py; None between two."""
        system = self._system
        return None if system is None or system.process.poll() is not None else system.pid

    def _start_system(self) -> None:
        system = RunningSystem(self.home, log=self._place / f"system-{len(self._systems)}.log").start()
        self._systems.append(system)
        self._system = system

    def _keep(self) -> None:
        """Start it again whenever it ends, as systemd would."""
        while not self._ending.is_set():
            assert self._system is not None
            self.exit_codes.append(self._system.process.wait())
            if not self._ending.wait(RESTART_AFTER):
                self._start_system()

    def logs(self) -> dict[str, str]:
        """Whatever was printed, by whom."""
        return {each.stem: each.read_text(errors="replace") for each in sorted(self._place.glob("*.log"))}

    def __enter__(self) -> Stage:  # noqa: PYI034 - Self is in typing only since Python 3.11
        self._start_system()
        self._systems[0].ready()
        self._keeper.start()
        for each in self.servers.values():
            self._open.enter_context(each)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._open.close()
        finally:
            self._ending.set()
            self._systems[-1].stop()
            self._keeper.join()
            self._systems[-1].stop()  # another one, if it had just been started
