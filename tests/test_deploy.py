"""``deploy/``: what it names exists, and does what the files rely on. No container engine and no systemd runs here."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.system import command
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "deploy" / "coatcheck.service"
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
PAGE = ROOT / "docs" / "deploy.md"
HOME = "/var/lib/coatcheck"
PYTHON = "/opt/coatcheck/bin/python"
EXPOSURE = 2.0
"""What ``systemd-analyze security`` may find at most: 0 is no exposure, 10 is all of it."""


def of_unit(name: str, section: str = "Service") -> list[str]:
    """All values of a key of the unit, in order."""
    unit: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            here = unit.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            here.setdefault(key, []).append(value)
    return unit[section].get(name, [])


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile: name, and the rest on one line."""
    lines = [line for line in CONTAINERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.partition(" ") for line in whole.splitlines() if line)
    return [(name, rest) for name, _, rest in pairs]


def of_container(name: str) -> list[str]:
    """All instructions of a name."""
    return [rest for each, rest in instructions() if each == name]


def in_shell(text: str) -> list[str]:
    """The words of a command, of the exec form or for a shell, up to its ``||``."""
    words = re.findall(r'"([^"]*)"', text) if text.startswith("[") else shlex.split(text)
    return words[: words.index("||")] if "||" in words else words


def parse(words: list[str]) -> None:
    """See that the command line takes what comes after ``-m coatcheck.system``."""
    place = words.index("-m")
    assert words[place + 1] == "coatcheck.system"
    try:
        command._parser("test").parse_intermixed_args(words[place + 2 :])
    except SystemExit:  # argparse has said why
        pytest.fail(f"these arguments are refused: {words}")


# The unit -----------------------------------------------------------------------------------------------------------


def test_the_unit_starts_what_there_is() -> None:
    """Its command is one that the command line takes, for the state directory that systemd makes."""
    (start,) = of_unit("ExecStart")

    assert start.startswith(f"{PYTHON} ")
    parse(shlex.split(start))
    assert of_unit("Environment") == [f"COATCHECK_HOME={HOME}"]
    assert f"/var/lib/{of_unit('StateDirectory')[0]}" == HOME
    assert of_unit("StateDirectoryMode") == ["0700"]


def test_the_unit_gives_up_where_a_restart_cannot_help() -> None:
    """Wrong arguments, a second system, and what cannot work; whatever else ends it is worth another start."""
    (codes,) = of_unit("RestartPreventExitStatus")

    assert {int(code) for code in codes.split()} == {2, command.OTHER_RUNS, command.MISCONFIGURED}
    assert of_unit("Restart") == ["on-failure"]


def test_the_unit_lets_it_stop_in_order() -> None:
    """It waits longer than the system takes at most to stop, and tells only the process that runs it."""
    from coatcheck.system.runner import STOP_WITHIN

    assert float(of_unit("TimeoutStopSec")[0]) > 2 * STOP_WITHIN
    assert of_unit("KillMode") == ["mixed"]


def test_the_unit_leaves_the_workers_alone() -> None:
    """What would keep workers from sharing a store with it is not there."""
    for name in ("PrivatePIDs", "PrivateNetwork", "RemoveIPC", "ProcSubset", "DynamicUser", "LimitAS"):
        assert of_unit(name) == [], name


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """``systemd-analyze`` knows every line of it, and finds little that it could do to the host."""
    require(analyze := shutil.which("systemd-analyze"), "systemd-analyze")
    assert analyze is not None
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(PYTHON, sys.executable), encoding="utf-8")

    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    rated = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    about_it = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert about_it == []
    assert verified.returncode == 0, verified.stderr
    assert rated.returncode == 0, rated.stdout[-500:] + rated.stderr


# The container ------------------------------------------------------------------------------------------------------


def test_the_container_copies_what_there_is() -> None:
    """Every file that it copies is in a checkout, and all that is needed to install is copied."""
    copied: set[str] = set()
    for each in of_container("COPY"):
        words = each.split()
        if not words[0].startswith("--from="):
            copied |= set(words[:-1])
    assert [name for name in copied if not (ROOT / name).exists()] == []

    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = {line.split("=")[1].strip() for line in setup["options"]["package_dir"].split("\n") if line}
    files = {setup["metadata"]["long_description"].removeprefix("file: "), setup["metadata"]["license_files"]}
    assert copied == folders | files | {"setup.cfg", "pyproject.toml"}


def test_what_it_copies_can_be_installed(tmp_path: Path) -> None:
    """A wheel made of these files alone has the whole package."""
    source = tmp_path / "src"
    for each in of_container("COPY"):
        *names, target = each.split()
        if names[0].startswith("--from="):
            continue
        place = source / Path(target).relative_to("/src")
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(exist_ok=True)
                shutil.copy(ROOT / name, place)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    unpacked = tmp_path / "installed"
    shutil.unpack_archive(next(tmp_path.glob("*.whl")), unpacked, "zip")
    assert (unpacked / "coatcheck" / "actors" / "supervisor.py").exists()
    assert (unpacked / "coatcheck" / "messages" / "__init__.py").exists()


def test_the_container_runs_what_there_is() -> None:
    """Its command, with any other in its place, and the question of its health are such as the command line takes."""
    (entry,), (default,) = of_container("ENTRYPOINT"), of_container("CMD")
    entered = in_shell(entry)
    parse(entered + in_shell(default))
    parse([*entered, "status", "--json"])

    (health,) = of_container("HEALTHCHECK")
    asked = in_shell(health[health.index("CMD ") + 4 :])
    parse(asked)
    assert "status" in asked
    assert health.endswith("|| exit 1")  # all that an engine knows beside 0


def test_the_health_question_ends_before_it_is_ended() -> None:
    """The deadline of the question is below that of the engine, with time for Python to start."""
    (health,) = of_container("HEALTHCHECK")
    engine = float(re.findall(r"--timeout=(\d+)s", health)[0])
    own = float(re.findall(r"--timeout (\d+)", health)[0])

    assert own + 3 < engine


def test_the_container_is_nobody_special() -> None:
    """Its last stage runs as a number that is not 0, whose own the volume is before it becomes one."""
    named = [name for name, _ in instructions()]
    last = max(place for place, name in enumerate(named) if name == "FROM")
    tail = instructions()[last:]

    assert dict(tail)["USER"] == "${UID}:${UID}"
    assert [each for each in of_container("ARG") if each.startswith("UID=")] == ["UID=10001"]
    (made,) = [rest for name, rest in tail if name == "RUN"]
    assert f"--owner=${{UID}} --group=${{UID}} --mode=0700 {HOME}" in made
    order = [name for name, _ in tail]
    assert order.index("RUN") < order.index("VOLUME")
    assert of_container("VOLUME") == [HOME]
    assert f"COATCHECK_HOME={HOME}" in of_container("ENV")[0].split()


def test_its_pythons_are_those_of_the_package() -> None:
    """The version of the image is one that setup.cfg names; both stages have the same one."""
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    (version,) = [each.partition("=")[2] for each in of_container("ARG") if each.startswith("PYTHON=")]

    assert f"Programming Language :: Python :: {version}\n" in setup
    assert len({each.split()[0] for each in of_container("FROM")}) == 1


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_says_what_can_be_typed() -> None:
    """Every command of ours on the page is one that the command line takes, and every variable is a setting."""
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"-m coatcheck\.system[^\n`#|]*", text.replace("\\\n", ""))

    assert len(commands) >= 3
    for each in commands:
        parse(shlex.split(each))
    variables = set(re.findall(r"COATCHECK_[A-Z_]+", text))
    assert variables <= {"COATCHECK_SECRET", *(f"COATCHECK_{name.upper()}" for name in Settings.__dataclass_fields__)}
