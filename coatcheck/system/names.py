"""Names under which the parts of a system find each other."""

from __future__ import annotations

from typing import Final

SUPERVISOR_NAME: Final = "coatcheck.supervisor"
"""The only global name: a named child would outlive its supervisor unnoticed, so there are no others."""

SUPERVISOR_CLASS: Final = "coatcheck.actors.supervisor.SystemSupervisor"
"""What the admin starts under that name. As text: the admin imports it, clients need not."""
