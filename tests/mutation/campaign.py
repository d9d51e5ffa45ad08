"""A campaign: all mutants of some targets, on some processes, resumable.

Results are kept line by line in a journal named after everything that they depend on.
An interrupted campaign goes on where it stopped; after any change of the guard or of
its tests it begins anew.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.imports import find_files, find_imported
from tests.mutation.instrument import Mutant
from tests.mutation.targets import Target
from tests.mutation.trial import Status
from tests.mutation.worker import load_instrumented

ROOT = Path(__file__).resolve().parents[2]
_SMALLEST_SHARE = 60
# Beside everything that targets and tests import: what runs them, and its versions.
_DEPENDENCIES = ("tests/mutation/*.py", "tests/__init__.py", "pyproject.toml")


class CampaignError(Exception):
    """The campaign cannot be carried out."""


@dataclass(frozen=True)
class Result:
    """What became of one mutant, and which test noticed."""

    mutant: Mutant
    status: Status
    by: str


class Journal:
    """Results on disk, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, dict[str, str]]:
        """Return what is known, by the key of the mutant; skip a torn last line."""
        known = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    record = json.loads(line)
                    known[record["key"]] = record
                except (json.JSONDecodeError, KeyError):
                    continue
        return known

    def add(self, result: Result) -> None:
        record = {
            "key": result.mutant.key,
            "status": result.status,
            "by": result.by,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def open_journal(targets: Iterable[Target]) -> Journal:
    """Return the journal for the present state of the sources."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = compute_digest(targets)
    return Journal(home / "cellward" / "mutation" / f"{digest}.jsonl")


def compute_digest(targets: Iterable[Target]) -> str:
    """Return a digest of all that results depend on."""
    files = {path for pattern in _DEPENDENCIES for path in ROOT.glob(pattern)}
    targets = tuple(targets)
    tests = {ROOT / test for target in targets for test in target.tests}
    modules = {path for target in targets for path in find_files(target.module, ROOT)}
    files |= find_imported(tests | modules, ROOT)
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run_campaign(
    mutants: Sequence[Mutant],
    jobs: int,
    journal: Journal,
    tell: Callable[[Result], None],
) -> None:
    """Try every mutant and tell each result as it comes.

    Raises:
        CampaignError: the tests of a target fail with nothing changed.
    """
    known = journal.read()
    rest = []
    for mutant in mutants:
        record = known.get(mutant.key)
        if record is None:
            rest.append(mutant)
        else:
            tell(Result(mutant, Status(record["status"]), record["by"]))
    by_number = {(mutant.module, mutant.number): mutant for mutant in rest}

    def carry_out(share: tuple[str, list[int]]) -> None:
        module, numbers = share
        for record in _run_worker(module, numbers):
            mutant = by_number[module, int(record["number"])]
            result = Result(mutant, Status(record["status"]), record["by"])
            journal.add(result)
            tell(result)

    with ThreadPoolExecutor(jobs) as pool:
        for ended in [pool.submit(carry_out, share) for share in _deal(rest, jobs)]:
            ended.result()


def _deal(mutants: Sequence[Mutant], jobs: int) -> list[tuple[str, list[int]]]:
    """Split the mutants of each module into shares of about the same work."""
    shares = []
    for module in dict.fromkeys(mutant.module for mutant in mutants):
        numbers = [mutant.number for mutant in mutants if mutant.module == module]
        count = max(1, min(jobs, len(numbers) // _SMALLEST_SHARE))
        shares += [(module, numbers[start::count]) for start in range(count)]
    return sorted(shares, key=lambda share: -len(share[1]))


def _run_worker(module: str, numbers: Sequence[int]) -> Iterator[dict[str, str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.mutation.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        json.dump({"module": module, "numbers": list(numbers)}, process.stdin)
        process.stdin.close()
        count = 0
        for line in process.stdout:
            record = json.loads(line)
            if "error" in record:
                raise CampaignError(f"{module}: {record['error']}")
            count += 1
            yield record
    if process.returncode != 0 or count != len(numbers):
        raise CampaignError(
            f"{module}: the worker answered {count} of {len(numbers)} mutants"
            f" and ended with {process.returncode}"
        )


def list_mutants(targets: Iterable[Target]) -> list[Mutant]:
    """Return all mutants of some targets."""
    return [
        mutant
        for target in targets
        for mutant in load_instrumented(target.module).mutants
    ]
