"""`cellward run` and `cellward sim`: the host, what is seen of it, and its end."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from cell.contracts.errors import ConfigError
from ops.child_signals import ChildSignals
from ops.exit_codes import ExitCode, PortTakenError, RestartLimitError
from ops.host import ProcessHost
from ops.logging import configure_logging
from ops.process_table import PRODUCT, VIRTUAL_CELL, ProcessSpec
from ops.run_report import make_report, write_report
from ops.runtime_directory import (
    compute_runtime_directory,
    compute_state_directory,
    lock_runtime,
    make_directory,
)
from ops.settings import Settings, load_settings
from ops.telemetry import Telemetry, TelemetryReader
from ops.view import render_line, render_view

_POLL_S = 0.05
_DRAW_PERIOD_S = 0.25
_PLAIN_PERIOD_S = 10.0
_PORT_WAIT_S = 6.0
_UR_PORTS = (30004, 30003, 29999)
_pause = time.sleep  # noqa: TID251  (the host has no event loop)
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
    settings = load_settings(request.config_path)
    specs: tuple[ProcessSpec, ...] = PRODUCT
    if settings.virtual_cell.enabled:
        specs = PRODUCT + VIRTUAL_CELL
    return _host_processes(settings, specs, request)


def run_virtual_cell(config_path: Path) -> ExitCode:
    """Run the virtual cell alone, until told to stop."""
    settings = load_settings(config_path)
    request = RunRequest(config_path, 0.0, 0, None, is_live=False)
    return _host_processes(settings, VIRTUAL_CELL, request)


def check_ports(addresses: Sequence[tuple[str, int]], wait_s: float) -> None:
    """Make sure that nobody else listens on the ports of the virtual cell.

    A controller that was just killed may still be closing them, hence the wait.

    Raises:
        PortTakenError: naming the first port that stays taken.
    """
    deadline_s = time.monotonic() + wait_s
    for host, port in addresses:
        while _is_taken(host, port):
            if time.monotonic() > deadline_s:
                raise PortTakenError(
                    f"port {port} on {host} is taken by another program; stop it "
                    f"(ss -ltnp 'sport = :{port}' names it) or change the "
                    "configuration"
                )
            _pause(0.1)


def compute_virtual_addresses(settings: Settings) -> list[tuple[str, int]]:
    """Return the addresses and TCP ports that the virtual cell listens on."""
    addresses: list[tuple[str, int]] = []
    if settings.arm.kind == "rtde":
        addresses += [(settings.arm.host, port) for port in _UR_PORTS]
    if settings.gripper.kind == "robotiq_urcap":
        addresses.append((settings.gripper.host, settings.gripper.port))
    if settings.plc.kind == "modbus":
        addresses.append((settings.plc.host, settings.plc.port))
    addresses += [
        (camera.host, camera.port)
        for camera in settings.cameras.values()
        if camera.kind == "software"
    ]
    return addresses


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _host_processes(
    settings: Settings, specs: Sequence[ProcessSpec], request: RunRequest
) -> ExitCode:
    runtime = make_directory(compute_runtime_directory(settings.runtime.directory))
    state = make_directory(compute_state_directory(settings.runtime.state_directory))
    logs = make_directory(state / "log")
    configure_logging("host", settings.runtime.log_level, logs / "host.jsonl")
    with lock_runtime(runtime):
        _clear_stale(runtime)
        if any(not spec.is_product for spec in specs):
            check_ports(compute_virtual_addresses(settings), _PORT_WAIT_S)
        for spec in specs:
            (logs / f"{spec.name}.out").unlink(missing_ok=True)
        host = ProcessHost(
            specs=specs,
            config_path=request.config_path.resolve(),
            runtime=runtime,
            log_directory=logs,
            now_s=time.monotonic,
            restart_limit=settings.runtime.restart_limit,
        )
        return _Session(host, TelemetryReader(runtime), request, logs).run()


def _clear_stale(runtime: Path) -> None:
    # Only the lock's holder comes here, so what lies here belongs to nobody alive.
    for path in runtime.iterdir():
        if (path.is_file() and path.name != "lock") or path.is_socket():
            path.unlink()


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

    def run(self) -> ExitCode:
        """Run until a limit, a signal or a process that stays down."""
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
        self._conclude(telemetry)
        down = [c.name for c in self._host.statuses() if c.restarts and not c.pid]
        crashed = [n for n in down if n in self._down_names]
        if crashed:
            raise RestartLimitError(
                f"process {crashed[0]} died too often and stays down; its last words "
                f"are in {self._logs / crashed[0]}.out and .jsonl"
            )
        return ExitCode.OK

    def _loop(self, children: ChildSignals, live: Live | None) -> None:
        self._down_names: set[str] = set()
        drawn_s = -_DRAW_PERIOD_S
        while not self._is_over():
            self._host.poll()
            self._down_names = {c.name for c in self._host.statuses() if c.is_down}
            if self._down_names:
                return
            telemetry = self._reader.read()
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
        return bool(wanted) and telemetry.status.get("placed", 0) >= wanted

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
        report = make_report(telemetry.status, telemetry.servo, telemetry.world, host)
        self._console.print(render_line(telemetry, elapsed_s), highlight=False)
        if self._request.report_path is not None:
            write_report(self._request.report_path, report)
            self._console.print(f"report: {self._request.report_path}")

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._stop_signals += 1
        if self._stop_signals >= 3:
            # Someone insists: the kernel ends the children with us.
            os._exit(int(ExitCode.INTERRUPTED))
