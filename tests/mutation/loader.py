"""Puts other code in the place of a module of ours, and lets it run uncompiled."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.mutation.instrument import SWITCH


class Substitute(MetaPathFinder, Loader):
    """Runs the given code whenever its module is imported."""

    def __init__(self, module: str, path: str, code: CodeType, number: int = 0) -> None:
        self._module = module
        self._path = path
        self._code = code
        self._number = number

    def install(self) -> None:
        """Come before every other finder.

        Raises:
            RuntimeError: somebody has imported the module already.
        """
        if self._module in sys.modules:
            raise RuntimeError(f"{self._module} is imported already; start afresh")
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        return spec_from_file_location(name, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[SWITCH] = self._number
        exec(self._code, module.__dict__)


def find_source(module: str) -> Path:
    """Return the file of a module without importing it."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def leave_uncompiled() -> None:
    """Keep the guard in Python, on top of kinematics in machine code.

    Called before anything of `safety` is imported. The kinematics are not mutated here
    and would take nine tenths of the time.
    """
    import cell.kinematics  # noqa: F401  (decorates its kernels now)
    from cell.kinematics import compiled

    if any(name.startswith("safety.") for name in sys.modules):
        raise RuntimeError("safety is imported already; start afresh")
    door: Any = compiled
    door.compiled = _as_written


def _as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
