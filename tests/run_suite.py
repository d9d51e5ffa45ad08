"""Runs every check of the repository; `./cellward test` calls it.

Without arguments: formatting, lint, types, layers, dependencies, then all tests, first
those that bear others beside them, on two processes, and then those marked `alone`, one
after the other. Wherever it lies, a test is marked so when it measures real time, loads
the machine or has workers of low priority, which starve beside others. A fake clock, a
computation and a process that is waited for with patience need no mark.
With arguments: the tests only, and the arguments go to pytest.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Tally:
    """What passed, failed and was skipped so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, *, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def main(arguments: list[str]) -> int:
    """Run what was asked for, print one closing line and return the exit status."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    os.chdir(ROOT)
    tally = Tally()
    if arguments:
        run_pytest(arguments, tally)
    else:
        run_gates(tally)
        run_all_tests(tally)
    if tally.passed + tally.failed == 0:
        print("no test ran", flush=True)
        tally.add(failed=1)
    closing = f"{tally.passed} passed, {tally.failed} failed"
    if tally.skipped:
        closing += f", {tally.skipped} skipped"
    print(f"\n{closing}", flush=True)
    return 1 if tally.failed else 0


def run_gates(tally: Tally) -> None:
    module = [sys.executable, "-m"]
    layers = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    gates = {
        "lint": [*module, "ruff", "check", "."],
        "format": [*module, "ruff", "format", "--check", "."],
        "types": [*module, "mypy"],
        "layers": [sys.executable, "-c", layers, "--no-cache"],
        "dependencies": [*module, "deptry", "."],
    }
    for name, command in gates.items():
        started = time.monotonic()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        took = f"{time.monotonic() - started:.1f} s"
        if result.returncode == 0:
            tally.add(passed=1)
            print(f"{name}: passed ({took})", flush=True)
        else:
            tally.add(failed=1)
            print(
                f"{name}: FAILED ({took})\n{result.stdout}{result.stderr}", flush=True
            )


def run_all_tests(tally: Tally) -> None:
    # A file stays on one process: its tests share what took long to make. One that dies
    # ends the phase, for xdist would wait for the rest of its file for ever.
    beside = ["-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"]
    run_pytest([*beside, "-m", "not alone"], tally)
    run_pytest(["-p", "no:xdist", "-m", "alone"], tally)


def run_pytest(arguments: list[str], tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        # -rs: what was left out, and why.
        command = [sys.executable, "-m", "pytest", "-q", "-rs"]
        command.append(f"--junitxml={report}")
        status = subprocess.run([*command, *arguments], check=False).returncode
        failed_before = tally.failed
        if report.exists():
            count_report(report, tally)
    # 5: nothing matched. Any other status than 0 must show as a failure, be it in the
    # report or not.
    if status not in (0, 5) and tally.failed == failed_before:
        print(f"pytest ended with status {status}", flush=True)
        tally.add(failed=1)


def count_report(report: Path, tally: Tally) -> None:
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        skipped = int(suite.get("skipped", "0"))
        passed = max(int(suite.get("tests", "0")) - failed - skipped, 0)
        tally.add(passed=passed, failed=failed, skipped=skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
