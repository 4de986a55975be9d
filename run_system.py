"""coatcheck's actor system in the foreground: ``python run_system.py --home DIR``, or ``... demo`` for the shop."""

from __future__ import annotations

import sys

from coatcheck.system.command import main

if __name__ == "__main__":
    sys.exit(main())
