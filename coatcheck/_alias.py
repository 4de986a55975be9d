"""One module, whichever name it is asked for by.

In a checkout the folders ``messages`` and ``actors`` can be imported under two names: bare, and as
``coatcheck.messages`` and ``coatcheck.actors``, the only ones that an installation has. Python would run the files
once per name and make twins of every class, and a handler for the one kind would not know the other. The first
lines of the two ``__init__.py`` therefore call :func:`be`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def be(bare: str, real: str) -> None:
    """Make the package that is just being imported as ``bare``, and all inside it, the one called ``real``."""
    module = importlib.import_module(real)
    sys.meta_path.insert(0, _SameModules(bare, real))
    # `import` hands out what is in sys.modules once a module's code has run.
    sys.modules[bare] = module


class _SameModules(MetaPathFinder, Loader):
    """Finds ``bare.x`` by importing ``real.x``; any other name is none of its business."""

    def __init__(self, bare: str, real: str) -> None:
        self._bare = bare
        self._real = real

    def _real_name(self, fullname: str) -> str:
        return self._real + fullname[len(self._bare) :]

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say where ``fullname`` comes from, when it is a module inside the package."""
        if not fullname.startswith(f"{self._bare}."):
            return None
        spec = importlib.util.find_spec(self._real_name(fullname))
        if spec is None:
            return None
        return ModuleSpec(fullname, self, origin=spec.origin, is_package=spec.submodule_search_locations is not None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Hand out the module under its real name, remembering what the import is about to overwrite in it."""
        module = importlib.import_module(self._real_name(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Put back what was overwritten; the module's code has run already, under its real name."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state
