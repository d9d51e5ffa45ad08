"""Entry of the supervisor process."""

import asyncio
import gc
import sys

from ops.processes.shell import enter_process, run_entry
from ops.wiring import run_supervisor


def main() -> None:
    """Run the supervisor until the host asks for an end."""
    # Ahead of rendering, inference and whatever else the machine does; otherwise the
    # freshness limits still hold, they only trip more often.
    context = enter_process("supervisor", niceness=-10, is_urgent=True)
    gc.freeze()
    asyncio.run(run_supervisor(context))


if __name__ == "__main__":
    sys.exit(run_entry("supervisor", main))
