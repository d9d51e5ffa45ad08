"""The first code of every process: binds it to its host, then becomes the process.

`python -m ops.processes.launch HOST_PID SIGNAL NICENESS MODULE ARGUMENTS...` imports
next to nothing before it is bound, for the imports of a process take seconds in which
its host may end. They also take turns: one that others wait for asks for its own before
them.
"""

import contextlib
import os
import runpy
import sys

from ops.processes.bond import bind_to_host


def main() -> None:
    """Bind, then run the module as `python -m` would."""
    host_pid, number, niceness, module = sys.argv[1:5]
    bind_to_host(int(host_pid), int(number))
    if int(niceness):
        # The process itself says what a refusal means, once it has a log.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, int(niceness))
    sys.argv = sys.argv[4:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
