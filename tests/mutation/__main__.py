"""Command line of the mutation tests.

  python -m tests.mutation                            all targets
  python -m tests.mutation --module safety.envelope   one of them
  python -m tests.mutation --list                     name the mutants, try none

Ends with 0 when every mutant was noticed that is not listed as equivalent.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.campaign import (
    CampaignError,
    Result,
    list_mutants,
    open_journal,
    run_campaign,
)
from tests.mutation.equivalents import Equivalent, read_equivalents
from tests.mutation.targets import TARGETS, Target, find_target
from tests.mutation.trial import Status

_QUIET_S = 10.0


class Progress:
    """Says how far the campaign is, every few seconds."""

    def __init__(self, total: int) -> None:
        self.results: list[Result] = []
        self._total = total
        self._started_s = self._said_s = time.monotonic()

    def add(self, result: Result) -> None:
        self.results.append(result)
        now_s = time.monotonic()
        if now_s - self._said_s >= _QUIET_S:
            self._said_s = now_s
            print(
                f"{len(self.results)} of {self._total} mutants,"
                f" {count_quiet(self.results)} not noticed,"
                f" {now_s - self._started_s:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started_s


def count_quiet(results: Sequence[Result]) -> int:
    """Count the mutants that no test has noticed."""
    return sum(is_quiet(result) for result in results)


def is_quiet(result: Result) -> bool:
    """Tell whether no test has noticed a mutant."""
    return result.status in (Status.SURVIVED, Status.UNREACHED)


def find_unlisted(
    results: Sequence[Result], listed: Sequence[Equivalent]
) -> list[Result]:
    """Return the survivors that nobody has proven to be equivalent."""
    keys = {entry.key for entry in listed}
    return [
        result
        for result in results
        if is_quiet(result) and result.mutant.key not in keys
    ]


def find_outdated(results: Sequence[Result], listed: Sequence[Equivalent]) -> list[str]:
    """Return listed mutants of these modules that were noticed or do not exist."""
    quiet = {result.mutant.key for result in results if is_quiet(result)}
    modules = {result.mutant.module for result in results}
    return [
        entry.key
        for entry in listed
        if entry.key.split(" ")[0] in modules and entry.key not in quiet
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and return the exit status."""
    options = _parse(arguments)
    targets = tuple(find_target(name) for name in options.module) or TARGETS
    mutants = list_mutants(targets)[:: options.every]
    if options.number:
        mutants = [mutant for mutant in mutants if mutant.number in options.number]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.number:5d} line {mutant.first_line}: {mutant.key}")
        print(f"{len(mutants)} mutants")
        return 0
    listed = read_equivalents()
    journal = open_journal(TARGETS)
    if options.fresh:
        journal.forget()
    progress = Progress(len(mutants))
    try:
        run_campaign(mutants, options.jobs, journal, progress.add)
    except CampaignError as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 2
    is_whole = options.every == 1 and not options.number
    unlisted = find_unlisted(progress.results, listed)
    outdated = find_outdated(progress.results, listed) if is_whole else []
    _print_report(targets, progress, unlisted, outdated)
    if options.json:
        _write_json(options.json, progress, unlisted, outdated)
    return 1 if unlisted or outdated else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        choices=[target.module for target in TARGETS],
        help="only this one; may be given again",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes beside this one")
    parser.add_argument("--every", type=int, default=1, help="take each n-th mutant")
    parser.add_argument("--number", type=int, action="append", help="only this mutant")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    parser.add_argument("--list", action="store_true", help="name the mutants only")
    parser.add_argument(
        "--fresh", action="store_true", help="forget results of an earlier run"
    )
    return parser.parse_args(arguments)


def _print_report(
    targets: Sequence[Target],
    progress: Progress,
    unlisted: Sequence[Result],
    outdated: Sequence[str],
) -> None:
    for result in unlisted:
        mutant = result.mutant
        print(f"{result.status}: line {mutant.first_line}, {mutant.key}")
    for key in outdated:
        print(f"listed as equivalent, but noticed or gone: {key}")
    for target in targets:
        of_target = [
            result
            for result in progress.results
            if result.mutant.module == target.module
        ]
        counts = Counter(str(result.status) for result in of_target)
        shown = ", ".join(f"{counts[status]} {status}" for status in Status)
        print(f"{target.module}: {len(of_target)} mutants, {shown}")
    print(
        f"{len(progress.results)} mutants, {len(unlisted)} unlisted survivors,"
        f" {progress.seconds:.0f} s"
    )


def _write_json(
    path: Path, progress: Progress, unlisted: Sequence[Result], outdated: Sequence[str]
) -> None:
    report = {
        "seconds": round(progress.seconds, 1),
        "mutants": len(progress.results),
        "unlisted": [result.mutant.key for result in unlisted],
        "outdated": list(outdated),
        "statuses": Counter(str(result.status) for result in progress.results),
        "operators": _count_by_operator(progress.results),
        "results": [
            {
                "key": result.mutant.key,
                "line": result.mutant.first_line,
                "status": result.status,
                "by": result.by,
            }
            for result in progress.results
        ],
    }
    path.write_text(json.dumps(report, indent=1) + "\n")


def _count_by_operator(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.mutant.operator, Counter())[result.status] += 1
    return {operator: dict(count) for operator, count in sorted(counts.items())}


if __name__ == "__main__":
    sys.exit(main())
