"""Which sources something was made with: a digest of them, and their revision."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sim2real.grasping.setup import ROOT


def compute_source_digest(sources: Sequence[str]) -> str:
    """Return one digest over files, and over the modules of folders."""
    digest = hashlib.sha256()
    for name in sources:
        path = ROOT / name
        files: Sequence[Path] = [path] if path.is_file() else sorted(path.glob("*.py"))
        for file in files:
            digest.update(
                str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes()
            )
    return digest.hexdigest()


def read_commit(sources: Sequence[str]) -> str | None:
    """Return the revision of the sources; None when they differ from every revision."""
    try:
        if _run_git("status", "--porcelain", "--", *sources):
            return None
        return _run_git("rev-parse", "HEAD") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _run_git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=5,
    )
    return done.stdout.strip()
