"""`cellward run` and `cellward sim`: the host, what is seen of it, and its end."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.live import Live

from cell.contracts.errors import CellError, ConfigError, ModelError
from ops.child_signals import ChildSignals
from ops.child_start import ChildStart
from ops.config_file import read_config_file
from ops.controller_lock import lock_robot, lock_runtime
from ops.exit_codes import ExitCode, RestartLimitError, StorageError
from ops.host import ProcessHost
from ops.last_status import (
    FILE_NAME,
    LastStatus,
    StatusKeeper,
    read_last_status,
    write_status_file,
)
from ops.logging import configure_logging
from ops.process_table import PRODUCT, VIRTUAL_CELL, ProcessSpec
from ops.run_report import (
    check_report_path,
    compute_run_status,
    dump_report,
    make_report,
    write_report,
)
from ops.runtime_directory import (
    clear_stale,
    compute_state_directory,
    make_directory,
    open_runtime_directory,
)
from ops.settings import (
    Settings,
    check_virtual_cell,
    compute_digest,
    parse_settings,
)
from ops.telemetry import PREVIOUS_STATUS, Telemetry, TelemetryReader
from ops.view import render_line, render_view
from ops.virtual_ports import check_ports, compute_virtual_addresses

_POLL_S = 0.05
_DRAW_PERIOD_S = 0.25
_PLAIN_PERIOD_S = 10.0
_PORT_WAIT_S = 6.0
_pause = time.sleep  # noqa: TID251  (the host has no event loop)
_REFUSALS: dict[ExitCode, type[CellError]] = {
    ExitCode.CONFIG: ConfigError,
    ExitCode.MODEL: ModelError,
    ExitCode.STORAGE: StorageError,
}
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for.

    Attributes:
        config_path: configuration file.
        duration_s: end after this long; 0 means never [s].
        picks: end after this many placed parts; 0 means never.
        report_path: where the JSON report goes, if wanted.
        is_live: whether to draw the live view.
    """

    config_path: Path
    duration_s: float
    picks: int
    report_path: Path | None
    is_live: bool


def parse_duration_s(text: str) -> float:
    """Parse `90s`, `10m`, `1h` or a bare number of seconds; empty means 0.

    Raises:
        ConfigError: it is none of these.
    """
    if not text:
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None:
        raise ConfigError(f"duration {text!r} is not understood; write 90s, 10m or 1h")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def run_cell(request: RunRequest) -> ExitCode:
    """Run controller and, when configured, the virtual cell, until told to stop."""
    content = read_config_file(request.config_path)
    settings = parse_settings(content, str(request.config_path))
    if request.report_path is not None:
        check_report_path(request.report_path)
    specs: tuple[ProcessSpec, ...] = PRODUCT
    if settings.virtual_cell.enabled:
        specs = PRODUCT + VIRTUAL_CELL
    with ExitStack() as locks:
        if settings.arm.kind == "rtde":
            robot = locks.enter_context(lock_robot(settings.arm.host))
            return _host_processes(settings, content, specs, request, (robot,))
        return _host_processes(settings, content, specs, request)


def run_virtual_cell(config_path: Path) -> ExitCode:
    """Run the virtual cell alone, until told to stop.

    Raises:
        ConfigError: the configuration cannot be used, or has no virtual cell.
    """
    content = read_config_file(config_path)
    settings = parse_settings(content, str(config_path))
    try:
        check_virtual_cell(settings)
    except ValueError as error:
        raise ConfigError(f"{config_path}: {error}") from None
    request = RunRequest(config_path, 0.0, 0, None, is_live=False)
    return _host_processes(settings, content, VIRTUAL_CELL, request)


def _host_processes(
    settings: Settings,
    content: bytes,
    specs: Sequence[ProcessSpec],
    request: RunRequest,
    held: Sequence[int] = (),
) -> ExitCode:
    runtime = open_runtime_directory(settings.runtime.directory)
    state = make_directory(compute_state_directory(settings.runtime.state_directory))
    logs = make_directory(state / "log")
    configure_logging("host", settings.runtime.log_level, logs / "host.jsonl")
    with lock_runtime(runtime) as lock:
        is_controller = any(spec.is_product for spec in specs)
        last = read_last_status(state, runtime) if is_controller else LastStatus({})
        _hand_over(last, state, runtime)
        if any(not spec.is_product for spec in specs):
            check_ports(compute_virtual_addresses(settings), _PORT_WAIT_S)
        for spec in specs:
            (logs / f"{spec.name}.out").unlink(missing_ok=True)
        child_start = ChildStart(
            # A change of the file during the run has no effect.
            config_path=_write_private(runtime / "config.yaml", content),
            digest=compute_digest(content),
            runtime=runtime,
            log_directory=logs,
            held=(lock, *held),
        )
        host = ProcessHost(
            specs=specs,
            child_start=child_start,
            now_s=time.monotonic,
            restart_limit=settings.runtime.restart_limit,
        )
        keeper = StatusKeeper(state, time.monotonic)
        try:
            session = _Session(host, TelemetryReader(runtime), request, logs)
            return session.run(keeper, last)
        finally:
            keeper.close()


def _hand_over(last: LastStatus, state: Path, runtime: Path) -> None:
    """Give the supervisor what the run before left, and clear the rest of it away."""
    if last.damage:
        sys.stderr.write(f"cellward: {last.damage}; the cell starts Aborted\n")
        structlog.get_logger().error("last status unusable", detail=last.damage)
    if last.tree:
        # Shared memory may hold the only copy, and is about to be cleared.
        with contextlib.suppress(OSError):
            write_status_file(state / FILE_NAME, last.tree)
    clear_stale(runtime)
    if last.tree:
        text = json.dumps(dict(last.tree))
        _write_private(runtime / PREVIOUS_STATUS, text.encode())


def _write_private(path: Path, content: bytes) -> Path:
    """Make a new file that only this user reads.

    Raises:
        StorageError: the folder takes nothing.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}; free space there or set "
            "runtime.directory to another folder"
        ) from error
    return path


class _Session:
    """One run from the first process to the last."""

    def __init__(
        self,
        host: ProcessHost,
        reader: TelemetryReader,
        request: RunRequest,
        logs: Path,
    ) -> None:
        self._host = host
        self._reader = reader
        self._request = request
        self._logs = logs
        self._console = Console()
        self._stop_signals = 0
        self._started_s = time.monotonic()
        self._last_line_s = -_PLAIN_PERIOD_S
        self._last_state = ""

    def run(self, keeper: StatusKeeper, last: LastStatus) -> ExitCode:
        """Run until a limit, a signal or a process that stays down.

        Args:
            keeper: writes the status to disk.
            last: what the run before left; its counts are not those of this run.
        """
        self._keeper, self._last = keeper, last
        signal.signal(signal.SIGINT, self._note_signal)
        signal.signal(signal.SIGTERM, self._note_signal)
        self._console.print(f"logs: {self._logs}", style="grey50")
        try:
            with ChildSignals() as children:
                if self._request.is_live:
                    with Live(console=self._console, auto_refresh=False) as live:
                        self._loop(children, live)
                else:
                    self._loop(children, None)
        finally:
            self._console.print("stopping: arm first, then the rest", style="grey50")
            self._host.stop(_pause)
        telemetry = self._reader.read()
        keeper.note(telemetry.status, is_last=True)
        self._conclude(telemetry)
        self._raise_for_lost_process()
        return ExitCode.OK

    def _raise_for_lost_process(self) -> None:
        for child in self._host.statuses():
            if child.name not in self._down_names:
                continue
            where = f"{self._logs / child.name}.out and .jsonl"
            if child.refusal is None:
                raise RestartLimitError(
                    f"process {child.name} died too often and stays down; its last "
                    f"words are in {where}"
                )
            kind = _REFUSALS[child.refusal.code]
            sentence = child.refusal.sentence or f"it would not run, see {where}"
            raise kind(f"process {child.name}: {sentence}")

    def _loop(self, children: ChildSignals, live: Live | None) -> None:
        self._down_names: set[str] = set()
        drawn_s = -_DRAW_PERIOD_S
        while not self._is_over():
            self._host.poll()
            down = [c for c in self._host.statuses() if c.is_down]
            self._down_names = {c.name for c in down}
            # The others leave a cell that stands and can still say why.
            if any(c.is_essential or c.refusal is not None for c in down):
                return
            telemetry = self._reader.read()
            self._keeper.note(telemetry.status)
            elapsed_s = time.monotonic() - self._started_s
            if live is None:
                self._print_line(telemetry, elapsed_s)
            elif elapsed_s - drawn_s >= _DRAW_PERIOD_S:
                drawn_s = elapsed_s
                view = render_view(telemetry, self._host.statuses(), elapsed_s)
                live.update(view, refresh=True)
            if self._has_enough(telemetry):
                return
            children.wait(_POLL_S)

    def _is_over(self) -> bool:
        if self._stop_signals:
            return True
        limit_s = self._request.duration_s
        return bool(limit_s) and time.monotonic() - self._started_s >= limit_s

    def _has_enough(self, telemetry: Telemetry) -> bool:
        wanted = self._request.picks
        if not wanted:
            return False
        status = compute_run_status(telemetry.status, self._last.tree)
        return int(status.get("placed", 0)) >= wanted

    def _print_line(self, telemetry: Telemetry, elapsed_s: float) -> None:
        state = str(telemetry.status.get("state", "STARTING"))
        is_due = elapsed_s - self._last_line_s >= _PLAIN_PERIOD_S
        if not is_due and state == self._last_state:
            return
        self._last_line_s, self._last_state = elapsed_s, state
        sys.stdout.write(render_line(telemetry, elapsed_s) + "\n")
        sys.stdout.flush()

    def _conclude(self, telemetry: Telemetry) -> None:
        elapsed_s = time.monotonic() - self._started_s
        restarts = {c.name: c.restarts for c in self._host.statuses() if c.restarts}
        host: dict[str, Any] = {"run_s": elapsed_s, "process_restarts": restarts}
        status = compute_run_status(telemetry.status, self._last.tree)
        report = make_report(status, telemetry.servo, telemetry.world, host)
        self._console.print(render_line(telemetry, elapsed_s), highlight=False)
        if self._request.report_path is not None:
            try:
                write_report(self._request.report_path, report)
            except StorageError:
                # A run is not repeated for the sake of its report.
                sys.stdout.write(dump_report(report))
                raise
            self._console.print(f"report: {self._request.report_path}")

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._stop_signals += 1
        if self._stop_signals >= 3:
            # Someone insists: the kernel ends the children with us.
            os._exit(int(ExitCode.INTERRUPTED))
