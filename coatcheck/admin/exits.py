"""The exit codes of ``coatcheck``: those of ``python -m coatcheck.system``, and two more."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
"""Done; of ``status``: nothing critical."""

NONE_SUCH: Final = 1
"""No session fits, or several do; or the answer to a question was no."""

WRONG_ARGUMENTS: Final = 2
"""The command line cannot be understood."""

OTHER_RUNS: Final = 3
"""``serve``: another process runs the system of this state directory."""

MISCONFIGURED: Final = 4
"""The settings, the files or their permissions cannot work; or the extra is not installed."""

NOT_STARTED: Final = 5
"""``serve``: the actor system did not come up."""

UNAVAILABLE: Final = 6
"""The store cannot be asked or changed now: it is in use, or full."""

CRITICAL: Final = 7
"""``status``, ``doctor``: sessions are not served, or something critical was found."""

UNSOUND: Final = 8
"""``check``: the store is not sound; ``reseal``: something cannot be opened."""

WARNED: Final = 9
"""``status``, ``doctor`` with ``--fail-on warning``: the worst that was found is a warning."""
