"""``python -m coatcheck.system``: what ``run_system.py`` is in a checkout."""

from __future__ import annotations

import sys

from coatcheck.system.command import main

if __name__ == "__main__":
    sys.exit(main())
