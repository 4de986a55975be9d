"""The dashboard: pages in a browser for those who look after the sessions, behind a login, on loopback.

``serve --dashboard`` runs it beside the actor system and prints a link to sign in with; ``python -m
coatcheck.admin.dashboard`` runs it alone. ``docs/dashboard.md`` is about it.
"""

from __future__ import annotations

from importlib.util import find_spec

missing = [name for name in ("jinja2", "starlette", "uvicorn") if find_spec(name) is None]
if missing:
    msg = f"the dashboard needs {' and '.join(missing)}: pip install 'coatcheck[admin]'"
    raise ModuleNotFoundError(msg, name=missing[0])
