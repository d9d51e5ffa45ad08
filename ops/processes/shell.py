"""What every process of the controller does first: signals, parent, log, life sign."""

import argparse
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cell.mailbox.beats import Beats
from ops.logging import configure_logging
from ops.runtime_directory import compute_state_directory, make_directory
from ops.settings import Settings, load_settings

_PR_SET_PDEATHSIG = 1
_URGENT_PRIORITY = 10


@dataclass
class StopFlag:
    """Set by SIGTERM; loops look at it once a turn."""

    is_set: bool = False


@dataclass(frozen=True)
class ProcessContext:
    """What a process entry needs.

    Attributes:
        name: of the process, as in logs and beats.
        settings: the whole configuration.
        config_path: the file it came from.
        runtime: folder with shared memory and sockets.
        beats: life signs of all processes.
        stop: whether the host asked for an end.
    """

    name: str
    settings: Settings
    config_path: Path
    runtime: Path
    beats: Beats
    stop: StopFlag = field(default_factory=StopFlag)

    def beat(self) -> None:
        """Tell the host that this process makes progress."""
        self.beats.beat(self.name, time.monotonic_ns())


def enter_process(
    name: str,
    argv: Sequence[str] | None = None,
    *,
    niceness: int = 0,
    is_urgent: bool = False,
) -> ProcessContext:
    """Parse the common arguments and put the process under its host.

    Args:
        name: of the process, as in logs and beats.
        argv: arguments; those of the command line by default.
        niceness: wanted priority among ordinary processes; below 0 it needs a
            permission, and without it the process goes on as it is.
        is_urgent: whether the process should run before all ordinary ones, below the
            servo loop; for short and rare work whose delay stops the arm.

    The host alone reacts to Ctrl-C; SIGTERM asks for an orderly end, and arrives by
    itself when the host dies. The first life sign is left to the process's own loop:
    until then the host allows for imports and compilation.
    """
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True)
    arguments = parser.parse_args(argv)
    stop = StopFlag()

    def request_stop(_signal: int, _frame: object) -> None:
        stop.is_set = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, request_stop)
    bind_to_parent()
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        if is_urgent:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_URGENT_PRIORITY))
    settings = load_settings(arguments.config)
    logs = make_directory(
        compute_state_directory(settings.runtime.state_directory) / "log"
    )
    configure_logging(name, settings.runtime.log_level, logs / f"{name}.jsonl")
    make_directory(arguments.runtime)
    return ProcessContext(
        name=name,
        settings=settings,
        config_path=arguments.config,
        runtime=arguments.runtime,
        beats=Beats.open(arguments.runtime / "beats"),
        stop=stop,
    )


def bind_to_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, so that nothing is orphaned."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
