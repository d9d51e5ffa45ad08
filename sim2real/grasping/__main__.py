"""`python -m sim2real.grasping`: the learning side of the command line."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cell.contracts.errors import CellError, StorageError
from ops.exit_codes import ExitCode, compute_exit_code
from sim2real.grasping import commands
from sim2real.grasping.guardian_commands import RUNS
from sim2real.grasping.setup import DEFAULT_CONFIG

_WITH_OPTIONS = {
    "train": commands.train,
    "export": commands.export,
    "novelty": commands.fit_novelty,
}
_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """Parse one command and run it."""
    # Windowless rendering; must be chosen before mujoco is imported anywhere.
    os.environ.setdefault("MUJOCO_GL", "egl")
    arguments = _make_parser().parse_args(argv)
    config: Path = arguments.config
    if arguments.command in _WITH_OPTIONS:
        options = commands.TrainingOptions(
            name=arguments.name,
            seed=arguments.seed,
            config=config,
            workers=arguments.workers,
            work=arguments.work,
            output=arguments.output,
            is_fresh=arguments.fresh,
            is_quick=arguments.quick,
        )
        return _WITH_OPTIONS[arguments.command](options)
    if arguments.command == "evaluate":
        return commands.evaluate(
            arguments.name,
            arguments.scenes,
            arguments.seed,
            config,
            workers=arguments.workers,
            runs=arguments.runs,
            as_json=arguments.json,
        )
    return commands.list_policies(config, as_json=arguments.json)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellward policy")
    subparsers = parser.add_subparsers(dest="command", required=True)
    train = subparsers.add_parser("train", help="make data, train, export")
    export = subparsers.add_parser("export", help="export a finished training again")
    novelty = subparsers.add_parser(
        "novelty", help="fit again what the training inputs looked like"
    )
    for subparser in (train, export, novelty):
        subparser.add_argument("name")
        subparser.add_argument("--work", type=Path, help="folder of intermediate files")
        subparser.add_argument("--output", type=Path, help="model directory to write")
        subparser.add_argument("--quick", action="store_true", help="small, to try it")
        subparser.set_defaults(fresh=False)
    train.add_argument("--fresh", action="store_true", help="discard earlier work")
    evaluate = subparsers.add_parser("evaluate", help="first-try success")
    evaluate.add_argument("name")
    evaluate.add_argument("--scenes", type=_parse_count, default=300)
    evaluate.add_argument(
        "--runs", type=_parse_count, default=RUNS, help="of the Guardian, for each fall"
    )
    evaluate.add_argument("--json", action="store_true")
    listing = subparsers.add_parser("list", help="models and where they are used")
    listing.add_argument("--json", action="store_true")
    for subparser in (train, evaluate, export, novelty):
        subparser.add_argument("--seed", type=_parse_number, default=0)
        subparser.add_argument(
            "--workers", type=_parse_number, default=0, help="0: one per core"
        )
    for subparser in (train, evaluate, export, novelty, listing):
        subparser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    return parser


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def _parse_count(text: str) -> int:
    number = _parse_number(text)
    if not number:
        raise argparse.ArgumentTypeError("must be 1 at least")
    return number


def _run() -> int:
    """Run one command; a deliberate error is one sentence and its exit code."""
    try:
        return int(main())
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except CellError as error:
        return _refuse(error)
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        return _refuse(StorageError(f"{error.filename or 'a file'}: {error.strerror}"))


def _refuse(error: CellError) -> int:
    sys.stderr.write(f"cellward: {error}\n")
    return int(compute_exit_code(error))


if __name__ == "__main__":
    sys.exit(_run())
