"""Entry of the supervisor process."""

import asyncio
import gc
import sys

from ops.processes.shell import arrive, run_entry
from ops.wiring import rehearse_chunk_check, run_supervisor


def main() -> None:
    """Run the supervisor until the host asks for an end."""
    arrival = arrive("supervisor")
    check = rehearse_chunk_check(arrival.settings)
    # Ahead of rendering, inference and whatever else the machine does; otherwise the
    # freshness limits still hold, they only trip more often.
    context = arrival.enter(niceness=-10, is_urgent=True)
    gc.freeze()
    asyncio.run(run_supervisor(context, check))


if __name__ == "__main__":
    sys.exit(run_entry("supervisor", main))
