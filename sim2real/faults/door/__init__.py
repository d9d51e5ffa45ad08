"""A door into the supervisor of a stand, by which one of its tasks can be ended.

Python imports `sitecustomize` at its start from wherever PYTHONPATH says. That of this
folder listens to one signal, in the supervisor alone, and nothing of the product knows
of it: the fault comes from where a debugger would come.
"""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sim2real.faults.door.sitecustomize import FOLDER, KNOCK, ORDER, TASKS

DOOR: Final = FOLDER
"""Variable that names the folder for orders and answers."""
_HERE: Final = Path(__file__).resolve().parent


def open_door(folder: Path) -> Mapping[str, str]:
    """Return the variables with which a controller is started.

    Args:
        folder: for orders and answers.
    """
    return {"PYTHONPATH": str(_HERE), FOLDER: str(folder)}


def end_task(pid: int, folder: Path, name: str) -> None:
    """End a task of a supervisor as something in the process would that cancels it.

    Args:
        pid: of the supervisor.
        folder: of the door.
        name: of the task; empty for none: the names of all are written down.
    """
    (folder / TASKS).unlink(missing_ok=True)
    (folder / ORDER).write_text(name, encoding="utf-8")
    os.kill(pid, signal.Signals[KNOCK])


def read_tasks(folder: Path) -> tuple[str, ...]:
    """Return the names of all tasks, as they were at the last knock; empty before."""
    try:
        return tuple(json.loads((folder / TASKS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return ()
