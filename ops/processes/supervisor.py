"""Entry of the supervisor process."""

import asyncio
import contextlib
import gc
import os
import sys

import structlog

from cell.contracts.errors import CellError
from ops.exit_codes import compute_exit_code
from ops.processes.shell import enter_process
from ops.wiring import run_supervisor

_NICE = -10


def main() -> None:
    """Run the supervisor until the host asks for an end."""
    context = enter_process("supervisor")
    # Ahead of rendering, inference and whatever else the machine does; without the
    # permission the freshness limits still hold, they only trip more often.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    gc.freeze()
    try:
        asyncio.run(run_supervisor(context))
    except* CellError as errors:
        first = _first(errors)
        structlog.get_logger().error("supervisor ended", error=str(first))
        sys.stderr.write(f"supervisor: {first}\n")
        sys.exit(int(compute_exit_code(first)))


def _first(errors: BaseExceptionGroup[CellError]) -> CellError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CellError)  # noqa: S101  (narrowing for the checker)
    return error


if __name__ == "__main__":
    main()
