"""`cellward run` and `cellward sim`: what comes before the first process starts."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog

from cell.contracts.errors import ConfigError, StorageError
from ops.child_start import ChildStart
from ops.config_file import read_config_file
from ops.controller_lock import lock_robot, lock_runtime
from ops.exit_codes import ExitCode
from ops.host import ProcessHost
from ops.last_status import (
    FILE_NAME,
    LastStatus,
    StatusKeeper,
    read_last_status,
    write_status_file,
)
from ops.logging import configure_logging
from ops.process_table import PRODUCT, UNWATCHED, VIRTUAL_CELL, ProcessSpec
from ops.processes.priority import NOT_PUNCTUAL, may_run_punctually
from ops.run_report import check_report_path
from ops.run_session import RunRequest, Session
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
    is_watched,
    parse_settings,
)
from ops.telemetry import PREVIOUS_STATUS, TelemetryReader
from ops.virtual_ports import (
    check_ports,
    compute_virtual_addresses,
    describe_virtual_devices,
)

_PORT_WAIT_S = 6.0
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


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
    specs: tuple[ProcessSpec, ...] = PRODUCT if is_watched(settings) else UNWATCHED
    if settings.virtual_cell.enabled:
        specs += VIRTUAL_CELL
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
            session = Session(host, TelemetryReader(runtime), request, logs)
            notices = _make_notices(settings, is_controller=is_controller)
            return session.run(keeper, last, notices)
        finally:
            keeper.close()


def _make_notices(settings: Settings, *, is_controller: bool) -> list[str]:
    """Return what a person should know from the start."""
    if not is_controller:
        return describe_virtual_devices(settings)
    return [] if may_run_punctually() else [NOT_PUNCTUAL]


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
