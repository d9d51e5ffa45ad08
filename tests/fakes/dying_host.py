"""A host that locks its folder, starts one child, and is killed at a chosen moment.

`python -m tests.fakes.dying_host FOLDER early|running|stopped|deaf`: while the child
still imports, while it beats, after it was stopped, or with a child that ignores the
request to end. Prints the child's process id first.
"""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from cell.mailbox.beats import Beats
from ops.child_start import ChildStart
from ops.controller_lock import lock_runtime
from ops.process_table import ProcessSpec
from tests.fakes.child_process import NAME


def main() -> None:
    """Start the child and die."""
    folder, moment = Path(sys.argv[1]), sys.argv[2]
    config = folder / "child.json"
    behaviour = {"beats": 1_000_000, "exit_code": None, "is_deaf": moment == "deaf"}
    config.write_text(json.dumps(behaviour))
    beats = Beats.open(folder / "beats")
    spec = ProcessSpec(
        NAME, "tests.fakes.child_process", 1.0, death_signal=signal.SIGTERM
    )
    with lock_runtime(folder) as lock:
        start = ChildStart(config, "", folder, folder, held=(lock,))
        child = start.start(spec)
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        while moment != "early" and math.isinf(beats.age_s(NAME, time.monotonic_ns())):
            time.sleep(0.01)
        if moment == "stopped":
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
