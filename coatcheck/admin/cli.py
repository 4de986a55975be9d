"""``coatcheck``: the entry point. Without the extra ``admin`` it still serves and says how it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

NEEDED: Final = ("click", "rich")
HOW_TO_INSTALL: Final = "pip install 'coatcheck[admin]'"

WITHOUT_EXTRA: Final = ("serve", "demo", "status", "check", "backup", "restore", "compact", "change", "reseal")
"""What ``python -m coatcheck.system`` has, too."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code (or SystemExit with it)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return _without_extra(arguments, missing)
    from coatcheck.admin.program import run

    return run(arguments)


def _without_extra(arguments: Sequence[str], missing: Sequence[str]) -> int:
    command = next((each for each in arguments if not each.startswith("-")), None)
    if command in WITHOUT_EXTRA:
        from coatcheck.system import command as system

        return system.main(arguments)
    what = f"'{command}'" if command else "all of the command line"
    there = ", ".join(WITHOUT_EXTRA)
    text = f"coatcheck: {what} needs {' and '.join(missing)}: {HOW_TO_INSTALL}; without it there are {there}"
    print(text, file=sys.stderr)  # noqa: T201 - the answer
    return 4


if __name__ == "__main__":
    sys.exit(main())
