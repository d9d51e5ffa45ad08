"""Tasks for worker processes, which find them by their module's name."""

import os
import signal
import sys
import time
from pathlib import Path

from sim2real.grasping.parallel import run_tasks


def double(number: int) -> int:
    return 2 * number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def sleep_after_a_note(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60.0)


def main(folder: str) -> None:
    """Keep two workers asleep, each with its process id as a file in `folder`."""
    # A shell that runs the tests in the background has Ctrl-C ignored by all below it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in run_tasks(sleep_after_a_note, [folder, folder, folder], 2):
            pass
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1])
