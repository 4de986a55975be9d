"""The program itself: its help, its start, and what it does without the extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from coatcheck.admin import exits
from coatcheck.admin.parameters import seconds_of
from coatcheck.admin.program import SECTIONS
from tests.admin.cli.conftest import Shop
from tests.admin.cli.running import COMMAND, ROOT, coatcheck

COMMANDS = [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_json(home: Path, name: str) -> None:
    """And is in the page of documentation, with its first line of help in the table."""
    command = import_module(f"coatcheck.admin.commands.{name.replace('-', '_')}").command
    assert isinstance(command, click.Command)
    options = {option for parameter in command.params for option in parameter.opts}
    if name not in {"demo", "completion"}:
        assert {"--home", "--json"} <= options
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"`{name}" in page
    for option in options - {"--home", "--json"}:
        assert not option.startswith("--") or option in page, f"{name} {option} is not in docs/cli.md"


def test_the_page_has_all_exit_codes() -> None:
    """Each number, in its table."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}

    assert rows == {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}


def test_help_imports_nothing_heavy() -> None:
    """Neither tables, nor actors, nor the store: the help is there at once."""
    program = (
        "import sys; from coatcheck.admin.cli import main; code = main(['--help']);"
        "print(code, [each for each in ('rich', 'lmdb', 'thespian', 'starlette') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_misspelt_command_is_guessed(home: Path) -> None:
    """Exit 2, and what was meant."""
    said = coatcheck(home, "lsit")

    assert said.code == exits.WRONG_ARGUMENTS
    assert "Did you mean 'list'?" in said.err


def test_without_the_extra(home: Path, tmp_path: Path) -> None:
    """It serves and says how it is; for the rest it says the line to type."""
    (tmp_path / "rich").mkdir()  # hides nothing: find_spec is told that there is none
    program = (
        "import sys, importlib.util as u; real = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name in ('rich', 'click') else real(name, *a);"
        "from coatcheck.admin.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )

    refused = run("list")
    assert refused.returncode == exits.MISCONFIGURED
    assert "pip install 'coatcheck[admin]'" in refused.stderr
    status = run("status", "--home", str(home))
    assert status.returncode == exits.CRITICAL
    assert "no actor system runs" in status.stderr


def test_who_has_seen_enough_may_leave(home: Path, shop: Shop) -> None:
    """As `head` does: no traceback."""
    for _ in range(300):
        shop.add("many", None)
    with subprocess.Popen(
        [*COMMAND, "tail", "--no-follow", "-n", "100000", "--home", str(home)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(home: Path, shop: Shop, shell: str) -> None:
    """The script names the command; handles and users are completed from the store."""
    assert "_COATCHECK_COMPLETE" in coatcheck(home, "completion", shell).out
    if shell == "bash":
        words = {"COMP_WORDS": f"coatcheck revoke {shop.handle('ann')[:3]}", "COMP_CWORD": "2"}
        offered = coatcheck(home, _COATCHECK_COMPLETE="bash_complete", **words).out
        assert shop.handle("ann") in offered
        words = {"COMP_WORDS": "coatcheck find --user a", "COMP_CWORD": "3"}
        assert "ann" in coatcheck(home, _COATCHECK_COMPLETE="bash_complete", **words).out


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("", None),
        ("x", None),
        ("1h30", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """As people write them."""
    assert seconds_of(text) == seconds


def test_the_environment_names_the_directory(home: Path, shop: Shop) -> None:
    """``--home`` before or behind the command goes before COATCHECK_HOME."""
    elsewhere = {"COATCHECK_HOME": str(home.with_name("elsewhere"))}
    for arguments in (["--home", home, "stats", "--json"], ["stats", "--home", home, "--json"]):
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env={**os.environ, **elsewhere},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert '"sessions": 4' in done.stdout
