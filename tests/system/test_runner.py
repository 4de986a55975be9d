"""``run_system.py``: it starts, survives what may be killed, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck import Set
from coatcheck.client.actor_lane import ActorStore
from coatcheck.errors import StoreUnavailable
from coatcheck.messages import InspectActor
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system import join, process
from coatcheck.system.command import MISCONFIGURED, OTHER_RUNS
from tests.system.running import ROOT, RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def serves(store: ActorStore) -> bool:
    """Whether sessions can be made."""
    try:
        token, _ = store.create({"a": 1})
    except StoreUnavailable:
        return False
    return store.load(token) is not None


def manager_pid(home: Path) -> int:
    """The process of the manager: of the one that is there when it is asked."""

    def ask() -> int | None:
        system, manager = join(home, timeout=20.0)
        try:
            reply = system.ask(manager, InspectActor(), 10.0)
        finally:
            system.shutdown()
        return None if reply is None else int(reply.pid)

    return int(until(ask, "no manager answers"))


def gone(pids: set[int]) -> bool:
    """Whether none of these processes is alive."""
    return not any(process.alive(pid) for pid in pids)


def is_free(port: int) -> bool:
    """Whether the port can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_clean(home: Path, number: signal.Signals) -> None:
    """After SIGTERM or Ctrl-C: exit 0, no process, no zombie, no listener, no file that says where it was."""
    with RunningSystem(home) as system:
        port, family = system.whereabouts["port"], system.family()
        assert len(family) >= 5  # the runner, the admin, the logger, the supervisor, the manager
        assert not is_free(port)

        begin = time.monotonic()
        assert system.stop(number) == 0

        assert time.monotonic() - begin < 8.0
        assert gone(family)
        assert is_free(port)
        assert not (home / "system.json").exists()
    with pytest.raises(StoreUnavailable, match="no actor system runs"):
        join(home)


def test_it_says_where_things_are(home: Path) -> None:
    """Home, port and process are printed, and how to join and to stop."""
    with RunningSystem(home, "--log-format", "json") as system:
        where = system.whereabouts

        assert f"coatcheck {coatcheck.__version__} runs on {home}" in system.log
        assert f"process {system.pid}, listening on 127.0.0.1:{where['port']}" in system.log
        assert f"kill {system.pid}" in system.log
        assert where["pid"] == system.pid
        until(lambda: "the store is open" in system.log, "the actors log nothing")
        logged = [json.loads(line) for line in system.log.splitlines() if line.startswith("{")]
        assert "the store is open" in {each["message"] for each in logged}
        assert {"time", "level", "logger", "message", "pid"} <= set(logged[0])


def test_a_second_one_is_refused(home: Path) -> None:
    """One system a state directory: the other says which process runs it, and exits with 3."""
    with RunningSystem(home) as system:
        second = RunningSystem(home).start()

        assert second.process.wait(30) == OTHER_RUNS
        assert f"process {system.pid} runs an actor system on {home} already" in second.log
        assert serves(ActorStore(Settings(home=home)))


@pytest.mark.parametrize("what", ["port", "home", "setting"])
def test_what_cannot_work_is_said_and_nothing_is_left(tmp_path: Path, what: str) -> None:
    """A port in use, a state directory that is none, a setting that cannot be: exit 4, with the remedy."""
    home = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if what == "home":
            home.write_text("a file")
        arguments = ["--port", str(port)] if what == "port" else []
        environ = {"COATCHECK_DURABILITY": "never"} if what == "setting" else {}
        system = RunningSystem(home, *arguments, **environ).start()  # type: ignore[arg-type]

        assert system.process.wait(30) == MISCONFIGURED
    expected = {"port": f"port {port}: ", "home": f"{home} is not a directory", "setting": "durability is 'never'"}
    assert expected[what] in system.log
    assert "Traceback" not in system.log


def test_it_runs_from_anywhere(home: Path, tmp_path: Path) -> None:
    """Neither the directory where it is started nor one that looks like ours there makes a difference."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "messages").mkdir(parents=True)
    (elsewhere / "messages" / "__init__.py").write_text("raise RuntimeError('not ours')")
    home.parent.mkdir(exist_ok=True)
    with RunningSystem(Path("../state"), cwd=elsewhere) as system:
        assert f"runs on {elsewhere}/../state" in system.log or f"runs on {home}" in system.log
        assert serves(ActorStore(Settings(home=home)))


def test_the_port_can_be_chosen(home: Path) -> None:
    """``--port`` is where the admin listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with RunningSystem(home, "--port", str(port)) as system:
        assert system.whereabouts["port"] == port
        assert serves(ActorStore(Settings(home=home)))


# What may be killed -----------------------------------------------------------------------------------------------


def test_a_killed_manager_comes_back(home: Path) -> None:
    """``kill -9`` of the manager: what was confirmed is there, and the same store reaches the next one."""
    with RunningSystem(home):
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"n": 0})
        for round_ in range(3):
            store.save(token, [Set("n", round_)])
            before = manager_pid(home)
            os.kill(before, signal.SIGKILL)

            record = store.load(token)
            assert record is not None
            assert record.data == {"n": round_}
            assert manager_pid(home) != before
        assert store.check().problems == ()
        store.close()


def test_a_manager_that_is_killed_while_it_starts_comes_back(home: Path) -> None:
    """Thespian does not report the end of a child that has not said its address yet."""
    with RunningSystem(home):
        store = ActorStore(Settings(home=home))
        supervisor, before = supervisor_report(home)["pid"], manager_pid(home)
        os.kill(before, signal.SIGKILL)

        def next_one() -> int | None:
            found = [pid for pid in process.children(supervisor) if pid != before and process.alive(pid)]
            return found[0] if found else None

        for _ in range(3):
            before = until(next_one, "no new manager")
            os.kill(before, signal.SIGKILL)

        until(lambda: serves(store), "it does not recover")
        assert supervisor_report(home)["pid"] == supervisor
        store.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_manager_is_started_once(home: Path, number: signal.Signals) -> None:
    """Thespian may report the end of a child twice; there is one manager afterwards, and it was restarted once."""
    with RunningSystem(home) as system:
        before = manager_pid(home)
        os.kill(before, number)
        until(lambda: not process.alive(before), "the manager goes on")
        store = ActorStore(Settings(home=home))
        assert serves(store)
        after = manager_pid(home)

        time.sleep(0.3)  # nothing is to happen in this time
        assert manager_pid(home) == after
        report = supervisor_report(home)
        assert [(each["pid"], each["restarts"], each["state"]) for each in report["children"]] == [(after, 1, "alive")]
        managers = [pid for pid in process.children(report["pid"]) if process.alive(pid)]
        assert managers == [after]
        assert system.process.poll() is None
        store.close()


def supervisor_report(home: Path) -> dict[str, Any]:
    """What the supervisor says of itself."""
    from coatcheck.system.joining import join_base
    from coatcheck.system.names import SUPERVISOR_CLASS, SUPERVISOR_NAME

    base, _ = join_base(Settings(home=home), 10.0)
    try:
        reply = base.call(base.named_actor(SUPERVISOR_CLASS, SUPERVISOR_NAME, 10.0), InspectActor(), 10.0)
    finally:
        base.leave()
    return {name: getattr(reply, name) for name in ("actor", "pid", "children", "handled", "version")}


def test_a_killed_supervisor_comes_back(home: Path) -> None:
    """Its manager ends with it, both are started again, and nobody is left over."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"a": 1})
        before = supervisor_report(home)["pid"]
        old_manager = manager_pid(home)
        os.kill(before, signal.SIGKILL)

        record = until(lambda: store.load(token), "no session after the supervisor was killed")
        assert record.data == {"a": 1}
        until(lambda: gone({before, old_manager}), "somebody outlives the supervisor")
        assert supervisor_report(home)["pid"] != before
        assert system.process.poll() is None
        store.close()


def test_a_killed_admin_comes_back(home: Path) -> None:
    """The whole system starts again under a new epoch, the old processes end, and clients find the new one."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"a": 1})
        where = system.whereabouts
        old = {pid for pid in system.family() if os.getsid(pid) == os.getsid(system.admin())}
        assert len(old) >= 4
        os.kill(system.admin(), signal.SIGKILL)

        until(lambda: system.whereabouts["epoch"] != where["epoch"], "no new epoch")
        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 1}
        assert system.whereabouts["port"] == where["port"]
        assert gone(old)
        store.close()


def test_a_killed_logger_takes_nobody_along(home: Path) -> None:
    """As shipped, the admin dies of an AttributeError when its logger does."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        admin, where = system.admin(), system.whereabouts
        supervisor = supervisor_report(home)["pid"]
        (logger,) = [pid for pid in process.children(admin) if pid != supervisor and process.alive(pid)]
        os.kill(logger, signal.SIGKILL)

        until(lambda: len([pid for pid in process.children(admin) if process.alive(pid)]) == 2, "no new logger")
        assert serves(store)
        assert system.admin() == admin
        assert system.whereabouts == where
        store.close()


def test_a_killed_runner_leaves_nothing(home: Path) -> None:
    """Without the process that runs it the system ends by itself; then another one can run."""
    with RunningSystem(home) as system:
        family, port = system.family(), system.whereabouts["port"]
        system.process.kill()
        system.process.wait()

        until(lambda: gone(family), "somebody outlives the runner")
        until(lambda: is_free(port), "somebody still listens")
    with pytest.raises(StoreUnavailable, match="any more"):
        join(home)
    with RunningSystem(home):
        assert serves(ActorStore(Settings(home=home)))


def test_all_killed_at_once(home: Path) -> None:
    """What was confirmed is there when the system runs again, and the store is sound."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        tokens = [store.create({"n": number})[0] for number in range(50)]
        for pid in system.family():
            os.kill(pid, signal.SIGKILL)
        system.process.wait()
        with pytest.raises(StoreUnavailable):
            store.load(tokens[0])
    with RunningSystem(home):
        found = [store.load(token) for token in tokens]
        assert [each.data["n"] for each in found if each] == list(range(50))
        assert store.check().problems == ()
        store.close()
    direct = LmdbStore(Settings(home=home))
    assert direct.check().problems == ()
    direct.close()


def test_a_silent_supervisor_is_replaced(home: Path) -> None:
    """Stopped, but not dead: after three silences it is ended, and the admin starts another."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"a": 1})
        before = supervisor_report(home)["pid"]
        # The runner must have heard of it once, to know whom to end.
        until(lambda: supervisor_report(home)["handled"]["InspectActor"] > 3, "no greetings")
        os.kill(before, signal.SIGSTOP)

        until(lambda: not process.alive(before), "the silent supervisor is left alone")
        record = until(lambda: store.load(token), "no session afterwards")
        assert record.data == {"a": 1}
        assert "is silent" in system.log
        store.close()


def test_a_restart_knows_what_was_there(home: Path) -> None:
    """Sessions outlive the system; those written without it are seen by it, and the other way round."""
    direct = LmdbStore(Settings(home=home))
    before, _ = direct.create({"written": "without"})
    with RunningSystem(home):
        store = ActorStore(Settings(home=home))
        record = store.load(before)
        assert record is not None
        assert record.data == {"written": "without"}
        during, _ = store.create({"written": "through the actors"})
        seen = direct.load(during)
        assert seen is not None
        assert seen.data == {"written": "through the actors"}
        store.close()
    seen = direct.load(during)
    assert seen is not None
    direct.close()


def test_its_own_log_is_private(home: Path) -> None:
    """Whatever Thespian writes by itself goes into the state directory, and holds no token and no data."""
    with RunningSystem(home):
        store = ActorStore(Settings(home=home))
        token, _ = store.create({"secret": "squeamish ossifrage"})
        os.kill(manager_pid(home), signal.SIGKILL)
        until(lambda: store.load(token), "no session afterwards")
        store.close()
        written = b"".join(each.read_bytes() for each in home.parent.glob("*.log"))
    log = home / "thespian.log"
    written += log.read_bytes() if log.exists() else b""
    assert token.encode() not in written
    assert b"ossifrage" not in written
    assert subprocess.run(["pgrep", "-f", f"run_system.py --home {home}"], check=False, cwd=ROOT).returncode == 1
