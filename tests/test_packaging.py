"""What an installation holds, and that a checkout is the same thing under the same names."""

from __future__ import annotations

import filecmp
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import coatcheck

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("actors", "messages")
ROOMS = (".ci", "actors", "benchmarks", "coatcheck", "deploy", "docs", "examples", "messages", "tests")

# Module, the extra it belongs to, and what that extra installs for it.
NEEDS_EXTRA = [
    ("coatcheck.flask", "flask", "flask"),
    ("coatcheck.django", "django", "django"),
    ("coatcheck.asgi.fastapi", "fastapi", "fastapi"),
    ("coatcheck.redis", "redis", "redis"),
    ("coatcheck.admin.metrics", "admin", "prometheus_client"),
    ("coatcheck.admin.dashboard", "admin", "jinja2"),
]
# Behind `coatcheck.admin.cli`, which says the line to type before it imports them.
BEHIND_CLI = [f"coatcheck.admin.{name}" for name in ("commands", "parameters", "program", "rendering", "tool")]
# All that the extras bring, by the names one imports; none of it may be needed by anything not named above.
OPTIONAL = (
    "anyio bottle click cryptography django fastapi flask gunicorn hypothesis"
    " jinja2 prometheus_client pytest redis rich starlette trio uvicorn websockets"
).split()


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command, fail with all it said when it fails, and return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def made_by_tools(folder: str, names: list[str]) -> set[str]:
    """Pick what is in a checkout without belonging to it: repositories, environments, caches, build results."""
    here = Path(folder)
    return {
        name
        for name in names
        if (name.startswith(".") and name != ".ci")
        or name in {"__pycache__", "build", "dist"}
        or name.endswith((".egg-info", ".pyc"))
        or (here / name / "pyvenv.cfg").exists()
    }


def files_below(folder: Path) -> Iterator[Path]:
    """Walk through a folder, links followed: relative paths, without what Python leaves behind."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in made_by_tools(where, folders)]
        for name in names:
            if name not in made_by_tools(where, names):
                yield (Path(where) / name).relative_to(folder)


def contents(wheel: Path) -> dict[str, bytes]:
    """Read a wheel's files, its own book-keeping left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout: a build leaves a folder behind that would seep into later wheels."""
    copy = tmp_path_factory.mktemp("copy") / "coatcheck"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=made_by_tools)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel straight from the tree."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, cwd=tree)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution, and beside it a wheel from that."""
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=tree)
    return next(out.glob("*.tar.gz"))


def test_wheel_holds_the_packages(tree: Path, wheel: Path) -> None:
    """A wheel holds every file of the tree's packages, to the byte, and no other."""
    expected = {
        f"coatcheck/{name}": (tree / "coatcheck" / name).read_bytes() for name in files_below(tree / "coatcheck")
    }

    found = contents(wheel)

    assert sorted(found) == sorted(expected)
    assert found == expected
    assert {"coatcheck/py.typed", *(f"coatcheck/{name}/__init__.py" for name in LINKED)} <= found.keys()


def test_wheel_has_no_generic_names(wheel: Path) -> None:
    """Nothing but coatcheck lands at the top of anybody's site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}

    assert tops == {"coatcheck", f"coatcheck-{coatcheck.__version__}.dist-info"}


def test_wheel_without_the_links_is_the_same(tree: Path, wheel: Path, tmp_path: Path) -> None:
    """Where the links are missing, as in an archive or on a system that has none, the wheel is whole all the same."""
    unlinked = shutil.copytree(tree, tmp_path / "unlinked", symlinks=True, ignore=made_by_tools)
    for name in LINKED:
        link = unlinked / "coatcheck" / name
        if link.is_symlink():
            link.unlink()
        else:
            shutil.rmtree(link)  # unpacked sources have a folder there

    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, cwd=unlinked)

    assert contents(next(tmp_path.glob("*.whl"))) == contents(wheel)


def test_sdist_is_a_checkout(tree: Path, sdist: Path) -> None:
    """A source distribution has every room of the checkout, with the files behind the links at both of their places."""
    with tarfile.open(sdist) as archive:
        found = {str(Path(*Path(member.name).parts[1:])) for member in archive.getmembers() if member.isfile()}

    expected = {str(Path(room, name)) for room in ROOMS for name in files_below(tree / room)}

    assert not expected - found
    assert {"coatcheck/messages/__init__.py", "messages/__init__.py"} <= expected
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "run_system.py"} <= found
    assert {"MANIFEST.in", "pyproject.toml", "setup.cfg"} <= found


def test_wheel_from_sdist_is_the_same(wheel: Path, sdist: Path) -> None:
    """It makes no difference whether a wheel is built from a checkout or from the source distribution."""
    assert contents(next(sdist.parent.glob("*.whl"))) == contents(wheel)


@pytest.mark.parametrize("name", LINKED)
def test_links(name: str) -> None:
    """The two links are relative, so that a checkout can be moved; unpacked sources have the same files instead."""
    link = ROOT / "coatcheck" / name
    if (ROOT / ".git").exists():
        assert link.is_symlink()
    if link.is_symlink():
        assert link.readlink() == Path("..", name)
    names = [str(path) for path in files_below(ROOT / name)]

    same, _, _ = filecmp.cmpfiles(ROOT / name, link, names, shallow=False)

    assert same == names


def test_own_messages_module_is_left_alone(wheel: Path, tmp_path: Path) -> None:
    """An application with a messages.py and an actors.py of its own gets those, and coatcheck gets its own."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    application = tmp_path / "application"
    application.mkdir()
    for name in LINKED:
        (application / f"{name}.py").write_text("MINE = True\n")
    code = f"""if True:
        import sys
        sys.path.insert(1, {str(tmp_path / "installed")!r})
        import coatcheck.messages, coatcheck.actors, messages, actors
        assert messages.MINE and actors.MINE
        assert coatcheck.__file__.startswith({str(tmp_path)!r})
        assert "coatcheck._alias" not in sys.modules
    """

    run(sys.executable, "-c", code, cwd=application)


def test_bare_names_here() -> None:
    """In a checkout `messages` and `actors` are coatcheck's, under pytest's way of importing too."""
    for name in LINKED:
        assert importlib.import_module(name) is importlib.import_module(f"coatcheck.{name}")


@pytest.mark.parametrize("first", ["", "coatcheck."])
def test_bare_names_whichever_comes_first(first: str) -> None:
    """Every module of `messages` and `actors` is one object with one name, whichever name is imported first."""
    code = f"""if True:
        import importlib, pkgutil, sys
        real = [
            module
            for name in {LINKED!r}
            for module in ["coatcheck." + name]
            + [found.name for found in pkgutil.walk_packages(["coatcheck/" + name], "coatcheck." + name + ".")]
        ]
        bare = [name.removeprefix("coatcheck.") for name in real]
        for name in [{first!r} + name for name in bare] + bare + real:
            importlib.import_module(name)
        for twin, name in zip(bare, real):
            assert sys.modules[twin] is sys.modules[name], name
            assert sys.modules[name].__name__ == sys.modules[name].__spec__.name == name
        print(*real)
    """

    assert run(sys.executable, "-c", code, cwd=ROOT).split()[0] == "coatcheck.actors"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_bare_names_across_processes(method: str) -> None:
    """A message comes back from another process as what it was, even one that was pickled under the bare name."""
    code = f"""if True:
        import copy, multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor
        from messages import LoadSession
        import coatcheck.messages
        assert LoadSession is coatcheck.messages.LoadSession
        with ProcessPoolExecutor(1, multiprocessing.get_context({method!r})) as pool:
            assert pool.submit(pickle.loads, b"cmessages\\nLoadSession\\n.").result() is LoadSession
            message = LoadSession(token="a")
            back = pool.submit(copy.copy, message).result()
            assert type(back) is LoadSession and back == message
    """

    run(sys.executable, "-c", code, cwd=ROOT)


@pytest.mark.parametrize(("module", "extra", "requirement"), NEEDS_EXTRA)
def test_missing_extra_says_what_to_type(module: str, extra: str, requirement: str) -> None:
    """A module whose extra is missing fails to import with the line to type."""
    code = f"""if True:
        import sys
        sys.modules[{requirement!r}] = None  # every import of it fails
        try:
            import {module}
        except ImportError as error:
            print(error)
    """

    assert f"pip install 'coatcheck[{extra}]'" in run(sys.executable, "-c", code, cwd=ROOT)


def test_core_needs_no_extra() -> None:
    """Everything that belongs to no extra can be imported with the core dependencies alone."""
    code = f"""if True:
        import importlib, pkgutil, sys
        for name in {OPTIONAL!r}:
            sys.modules[name] = None
        import coatcheck
        for name in coatcheck.__all__:
            getattr(coatcheck, name)
        apart = ("coatcheck.testing", *{[*(module for module, _, _ in NEEDS_EXTRA), *BEHIND_CLI]!r})
        for found in pkgutil.walk_packages(coatcheck.__path__, "coatcheck.", onerror=lambda name: None):
            if not found.name.startswith(apart):
                importlib.import_module(found.name)
    """

    run(sys.executable, "-c", code, cwd=ROOT)
