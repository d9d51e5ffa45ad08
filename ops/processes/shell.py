"""What every process of the controller does first: signals, parent, log, life sign."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from cell.contracts.errors import CellError
from cell.mailbox.beats import Beats
from ops.exit_codes import compute_exit_code
from ops.logging import configure_logging
from ops.processes.bond import bind_to_host, is_bound, wind_up
from ops.processes.priority import request_turns
from ops.processes.turn import wait_for_turn
from ops.runtime_directory import compute_state_directory
from ops.settings import Settings, load_settings

_WIND_UP_PERIOD_NS = 500_000_000


@dataclass
class StopFlag:
    """Set by SIGTERM; loops look at it once a turn."""

    is_set: bool = False


@dataclass
class Winding:
    """When the kernel's timer was last wound up, on the monotonic clock [ns]."""

    stamp_ns: int = 0


@dataclass(frozen=True)
class ProcessContext:
    """What a process entry needs.

    Attributes:
        name: of the process, as in logs and beats.
        settings: the whole configuration.
        runtime: folder with shared memory and sockets.
        beats: life signs of all processes.
        stop: whether the host asked for an end.
        winding: of the timer that ends this process should it hang.
    """

    name: str
    settings: Settings
    runtime: Path
    beats: Beats
    stop: StopFlag = field(default_factory=StopFlag)
    winding: Winding = field(default_factory=Winding)

    def beat(self) -> None:
        """Tell host and kernel that this process makes progress."""
        now_ns = time.monotonic_ns()
        self.beats.beat(self.name, now_ns)
        # Loops of 500 Hz beat too; the kernel need not hear of each turn.
        if now_ns - self.winding.stamp_ns > _WIND_UP_PERIOD_NS:
            self.winding.stamp_ns = now_ns
            wind_up()


def run_entry(name: str, body: Callable[[], int | None]) -> int:
    """Run a process; return its exit code.

    A deliberate error is one sentence on stderr and its documented exit code. Anything
    else is a defect and keeps its traceback.

    Args:
        name: of the process; the host finds the sentence by it.
        body: enters the process and runs it; returns its exit code, None for 0.
    """
    try:
        return body() or 0
    except CellError as error:
        return _report(name, error)
    except BaseExceptionGroup as errors:
        deliberate, others = errors.split(CellError)
        if deliberate is None or others is not None:
            raise
        return _report(name, _first(deliberate))


@dataclass(frozen=True)
class Arrival:
    """A process that has read its configuration and touched nothing yet.

    Attributes:
        name: of the process, as in logs and beats.
        settings: the whole configuration.
        runtime: folder with shared memory and sockets.
        turn: socket to wait at for a predecessor's end; None for no wait.
    """

    name: str
    settings: Settings
    runtime: Path
    turn: int | None = None

    def enter(self, *, niceness: int = 0, is_urgent: bool = False) -> ProcessContext:
        """Put the process under its host, once it is its turn.

        Args:
            niceness: wanted priority among ordinary processes; below 0 it needs a
                permission, and without it the process goes on as it is.
            is_urgent: whether the process should run before all ordinary ones, below
                the servo loop; for short and rare work whose delay stops the arm.

        The host alone reacts to Ctrl-C; SIGTERM asks for an orderly end. The first life
        sign is left to the process's own loop: until then the host allows for imports
        and compilation. Whether there is room on the disk is the host's concern, at its
        start: a process that is started again while the disk is full must come up all
        the same.
        """
        if self.turn is not None:
            wait_for_turn(self.turn)
        stop = StopFlag()

        def request_stop(_signal: int, _frame: object) -> None:
            stop.is_set = True

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, request_stop)
        runtime = self.settings.runtime
        logs = compute_state_directory(runtime.state_directory) / "log"
        for folder in (logs, self.runtime):
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configure_logging(self.name, runtime.log_level, logs / f"{self.name}.jsonl")
        refused = request_turns(niceness, is_urgent=is_urgent)
        if refused:
            structlog.get_logger().warning("scheduling", detail=refused)
        return ProcessContext(
            name=self.name,
            settings=self.settings,
            runtime=self.runtime,
            beats=Beats.open(self.runtime / "beats"),
            stop=stop,
        )


def arrive(name: str, argv: Sequence[str] | None = None) -> Arrival:
    """Parse the common arguments and load the configuration.

    What a process does between this and `Arrival.enter` it also does as a spare, beside
    the one that works: it may compute, and touch nothing that others see.

    Args:
        name: of the process, as in logs and beats.
        argv: arguments; those of the command line by default.

    Raises:
        ConfigError: the configuration cannot be used, or is not the one of the host.
    """
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--digest", default="")
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--turn", type=int, default=None)
    arguments = parser.parse_args(argv)
    if not is_bound():
        bind_to_host(os.getppid(), signal.SIGTERM)
    settings = load_settings(arguments.config, arguments.digest)
    return Arrival(name, settings, arguments.runtime, arguments.turn)


def enter_process(
    name: str,
    argv: Sequence[str] | None = None,
    *,
    niceness: int = 0,
    is_urgent: bool = False,
) -> ProcessContext:
    """Arrive and enter at once; see there for what each of them does and raises."""
    return arrive(name, argv).enter(niceness=niceness, is_urgent=is_urgent)


def _report(name: str, error: CellError) -> int:
    if structlog.is_configured():
        structlog.get_logger().error("process ended", error=str(error))
    # A full disk must not turn the exit code into that of a defect.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{name}: {error}\n")
        sys.stderr.flush()
    return int(compute_exit_code(error))


def _first(errors: BaseExceptionGroup[CellError]) -> CellError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CellError)  # noqa: S101  (narrowing for the checker)
    return error
