"""Every line and every branch of the guard is run by its own tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_guard_tests_reach_every_line_and_every_branch_of_safety(
    tmp_path: Path, repository: Path
) -> None:
    # Uncompiled, for coverage cannot look into machine code.
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "COVERAGE_FILE": str(tmp_path / "coverage"),
    }
    measured = subprocess.run(
        [
            *(sys.executable, "-m", "coverage", "run", "--branch", "--source=safety"),
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/safety"),
        ],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stdout[-4000:]

    report = subprocess.run(
        [
            *(sys.executable, "-m", "coverage", "report"),
            *("--show-missing", "--fail-under=100"),
        ],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert report.returncode == 0, report.stdout
