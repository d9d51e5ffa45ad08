"""The first code of every process: binds it to its host, then becomes the process.

`python -m ops.processes.launch HOST_PID SIGNAL MODULE ARGUMENTS...` imports next to
nothing before it is bound, for the imports of a process take seconds in which its host
may end.
"""

import runpy
import sys

from ops.processes.bond import bind_to_host


def main() -> None:
    """Bind, then run the module as `python -m` would."""
    host_pid, number, module = sys.argv[1:4]
    bind_to_host(int(host_pid), int(number))
    sys.argv = sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
