"""Every line and every branch of the guard is run by its own tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SHARES = 2
# They follow whole ways and search whole graphs, which takes minutes in plain Python.
# No line needs them: those that call the kernels with exact numbers reach every one.
_LONG = {"clearance", "ladder_search", "projected_requests", "timed_chunk"}


def start(
    files: list[Path], repository: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "coverage", "run", "--branch", "--source=safety"),
            *("--parallel-mode", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *map(str, files),
        ],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_guard_tests_reach_every_line_and_every_branch_of_safety(
    tmp_path: Path, repository: Path
) -> None:
    # Uncompiled, for coverage cannot look into machine code.
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "COVERAGE_FILE": str(tmp_path / "coverage"),
    }
    folder = repository / "tests/unit/safety"
    long = {folder / f"test_{name}.py" for name in _LONG}
    files = sorted({*folder.glob("test_*.py")} - long)
    shares = [
        start(files[first::_SHARES], repository, environment)
        for first in range(_SHARES)
    ]
    for share in shares:
        said, _ = share.communicate()
        assert share.returncode == 0, said[-4000:]

    for command in (
        ("combine", "-q"),
        ("report", "--show-missing", "--fail-under=100"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *command],
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
