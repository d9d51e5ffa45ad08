"""`python -m sim2real.faults`: the commands `cellward faults list` and `run`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from cell.contracts.errors import CellError, ConfigError
from ops.exit_codes import ExitCode, compute_exit_code
from sim2real.faults.catalogue import ROWS, find_rows
from sim2real.faults.results import (
    Outcome,
    RowResult,
    describe_result,
    dump_results,
    dump_rows,
    print_results,
    print_rows,
)
from sim2real.faults.rows import FaultRow

_DEFAULT_CONFIG: Final = Path(__file__).resolve().parent.parent.parent / "config.yaml"
_SWITCH_S: Final = 0.0005


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """Parse one command and run it.

    Raises:
        SystemExit: there is no such row or option.
        CellError: the configuration cannot be used.
    """
    parser = _make_parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        rows = _find(parser, arguments.id) if arguments.id else ROWS
        if arguments.json:
            sys.stdout.write(dump_rows(rows))
        else:
            print_rows(rows, Console())
        return ExitCode.OK
    if bool(arguments.id) == arguments.all:
        parser.error("name rows with --id F17, or give --all")
    rows = ROWS if arguments.all else _find(parser, arguments.id)
    return run_faults(
        rows,
        arguments.config,
        as_json=arguments.json,
        with_fault=not arguments.without_fault,
    )


def run_faults(
    rows: Sequence[FaultRow], config: Path, *, as_json: bool, with_fault: bool = True
) -> ExitCode:
    """Try rows and print what came of them, also after Ctrl-C."""
    # In here, for a listing needs none of what it imports.
    from sim2real.faults.runner import FaultRun

    def note(result: RowResult) -> None:
        sys.stderr.write(f"{describe_result(result)}\n")
        sys.stderr.flush()

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    # A proxy waits for the interpreter no longer than for the network.
    sys.setswitchinterval(_SWITCH_S)
    # Whoever ends us gets the same order as at a terminal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = FaultRun(config, note, say)
    is_interrupted = False
    try:
        run.run(rows, with_fault=with_fault)
    except KeyboardInterrupt:
        is_interrupted = True
    results = [run.results[row.id] for row in rows if row.id in run.results]
    if as_json:
        sys.stdout.write(dump_results(results))
    else:
        print_results(results, Console())
    if is_interrupted:
        return ExitCode.INTERRUPTED
    return compute_code(results, with_fault=with_fault)


def compute_code(results: Sequence[RowResult], *, with_fault: bool = True) -> ExitCode:
    """Return the exit code of a run; without faults no row may have passed."""
    wrong = Outcome.FAILED if with_fault else Outcome.PASSED
    is_wrong = any(result.outcome is wrong for result in results)
    return ExitCode.FAULT_FAILED if is_wrong else ExitCode.OK


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellward faults")
    subparsers = parser.add_subparsers(dest="command", required=True)
    listing = subparsers.add_parser("list", help="every fault, and what must follow")
    run = subparsers.add_parser("run", help="try faults on the virtual cell")
    for subparser in (listing, run):
        subparser.add_argument(
            "--id", action="append", default=[], metavar="F17", help="a row; repeatable"
        )
        subparser.add_argument("--json", action="store_true", help="print JSON")
    run.add_argument("--all", action="store_true", help="every row")
    run.add_argument("--config", type=Path, default=_DEFAULT_CONFIG)
    run.add_argument(
        "--without-fault",
        action="store_true",
        help="leave every fault out: no row may pass then",
    )
    return parser


def _find(parser: argparse.ArgumentParser, ids: Sequence[str]) -> tuple[FaultRow, ...]:
    """Return the rows of these ids; one that there is not ends the program."""
    try:
        return find_rows(_split(ids))
    except ConfigError as error:
        parser.error(str(error))


def _split(ids: Sequence[str]) -> list[str]:
    return [name for text in ids for name in text.split(",") if name]


def _run() -> int:
    """Run one command; a deliberate error is one sentence and its exit code."""
    try:
        return int(main())
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except CellError as error:
        sys.stderr.write(f"cellward: {error}\n")
        return int(compute_exit_code(error))


if __name__ == "__main__":
    sys.exit(_run())
