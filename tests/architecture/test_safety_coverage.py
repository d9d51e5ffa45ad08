"""Every line and every branch of the guard is run by its own tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SHARES = 2


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
    files = sorted((repository / "tests/unit/safety").glob("test_*.py"))
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
