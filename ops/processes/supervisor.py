"""Entry of the supervisor process."""

import asyncio
import gc
import sys

import structlog

from cell.contracts.errors import CellError
from ops.exit_codes import compute_exit_code
from ops.processes.shell import enter_process
from ops.wiring import run_supervisor


def main() -> None:
    """Run the supervisor until the host asks for an end."""
    # Ahead of rendering, inference and whatever else the machine does; otherwise the
    # freshness limits still hold, they only trip more often.
    context = enter_process("supervisor", niceness=-10, is_urgent=True)
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
