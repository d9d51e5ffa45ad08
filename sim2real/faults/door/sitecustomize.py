"""Runs in the supervisor of a stand: ends the task that a file names, at a signal."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

FOLDER = "CELLWARD_STAND_DOOR"
ORDER = "door-order"
TASKS = "door-tasks"
KNOCK = "SIGUSR2"
_PROCESS = "ops.processes.supervisor"


def _open(folder: Path) -> None:
    def answer(_number: int, _frame: object) -> None:
        with contextlib.suppress(RuntimeError, OSError):
            tasks = asyncio.all_tasks(asyncio.get_running_loop())
            name = (folder / ORDER).read_text(encoding="utf-8")
            names = json.dumps(sorted(task.get_name() for task in tasks))
            for task in tasks:
                if name and task.get_name() == name:
                    task.cancel()
            (folder / "door-writing").write_text(names, encoding="utf-8")
            (folder / "door-writing").replace(folder / TASKS)

    signal.signal(signal.Signals[KNOCK], answer)


if FOLDER in os.environ and _PROCESS in sys.orig_argv:
    _open(Path(os.environ[FOLDER]))
