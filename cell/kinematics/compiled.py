"""The one decorator for numeric kernels, and where their machine code is kept.

With `NUMBA_DISABLE_JIT=1` a kernel is the plain Python function it was written as.
numba's own cache notices a change of the file that holds a kernel, but not of a kernel
it calls from another file. A guard running yesterday's kinematics must not be possible,
so the cache folder is named after the content of every file with kernels.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ROOT = Path(__file__).resolve().parents[2]
# Every folder whose files hold kernels that call each other.
_KERNEL_FOLDERS = ("cell/kinematics", "cell/servo", "safety")
_VERSIONS_KEPT = 8


def compute_source_digest(root: Path) -> str:
    """Return a short digest of all sources that may hold kernels below `root`."""
    digest = sha256()
    for folder in _KERNEL_FOLDERS:
        for source in sorted((root / folder).glob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _open_cache() -> bool:
    """Point numba at our cache folder; False when there is no writable place."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "cellward" / "kernels" / compute_source_digest(_ROOT)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    _forget_old(folder.parent)
    config: Any = numba.config
    config.CACHE_DIR = str(folder)
    return os.access(folder, os.W_OK)


def _forget_old(parent: Path) -> None:
    """Keep the machine code of the newest few versions only."""
    with contextlib.suppress(OSError):
        newest_first = sorted(
            parent.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True
        )
        for entry in newest_first[_VERSIONS_KEPT:]:
            shutil.rmtree(entry, ignore_errors=True)


_CACHE = _open_cache()


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile a kernel on its first call, without any relaxed floating point."""
    return cast("Callable[_P, _R]", numba.njit(cache=_CACHE)(function))
