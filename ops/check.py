"""`cellward check`: every reason why the cell will not start, in one go."""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from cell.config import RealsenseCameraConfig, SoftwareCameraConfig
from cell.contracts.errors import CellError
from cell.drivers.arm.dashboard import TESTED_VERSIONS, read_dashboard
from cell.drivers.clock import MonotonicClock
from cell.drivers.gripper.opening import open_gripper
from cell.drivers.plc.opening import open_plc
from ops.child_start import ChildStart
from ops.controller_lock import lock_runtime
from ops.exit_codes import ExitCode
from ops.host import ProcessHost
from ops.logging import configure_logging
from ops.process_table import VIRTUAL_CELL
from ops.runtime_directory import (
    compute_state_directory,
    make_directory,
    open_runtime_directory,
)
from ops.settings import Settings, compute_digest, load_settings
from ops.virtual_ports import check_ports, compute_virtual_addresses
from policies.model_directory import read_model_directory

_MIN_FREE_BYTES = 200_000_000
_VIRTUAL_WAIT_S = 20.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        is_good: whether the cell may start as far as this goes.
        is_warning: it may start, but somebody should know.
        detail: what was seen, and what to do when it is not good.
    """

    name: str
    is_good: bool
    detail: str
    is_warning: bool = False


def run_check(config_path: Path, *, as_json: bool) -> ExitCode:
    """Look at configuration, machine, models and devices, and print all findings."""
    settings = load_settings(config_path)
    runtime = open_runtime_directory(settings.runtime.directory)
    state = make_directory(compute_state_directory(settings.runtime.state_directory))
    with lock_runtime(runtime) as lock:
        findings = [Finding("configuration", is_good=True, detail=str(config_path))]
        findings += list(_check_machine(state))
        findings.append(_check_model(settings))
        with _virtual_cell(settings, config_path, runtime, state, lock) as poll:
            findings += asyncio.run(_check_devices(settings, poll))
    _print(findings, as_json=as_json)
    is_ready = all(finding.is_good for finding in findings)
    return ExitCode.OK if is_ready else ExitCode.NOT_READY


def _check_machine(state: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(state).free
    yield Finding(
        "disk",
        is_good=free > _MIN_FREE_BYTES,
        detail=f"{free // 1_000_000} MB free in {state}; 200 MB are needed",
    )
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        yield Finding("real-time priority", is_good=True, detail="permitted")
    except PermissionError:
        yield Finding(
            "real-time priority",
            is_good=True,
            detail="not permitted: the servo loop will run slower; add 'rtprio 60' and "
            "'memlock unlimited' for this user in /etc/security/limits.conf",
            is_warning=True,
        )


def _check_model(settings: Settings) -> Finding:
    directory = Path(settings.policy.directory) / settings.policy.live
    try:
        model = read_model_directory(directory)
    except CellError as error:
        return Finding("model", is_good=False, detail=str(error))
    return Finding("model", is_good=True, detail=model.label)


async def _check_devices(settings: Settings, poll: Callable[[], None]) -> list[Finding]:
    probes: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("plc", lambda: _probe_plc(settings)),
        ("gripper", lambda: _probe_gripper(settings)),
        ("arm", lambda: _probe_arm(settings)),
    ]
    probes += [
        (f"camera {name}", partial(_probe_camera, camera))
        for name, camera in settings.cameras.items()
    ]
    wait_s = _VIRTUAL_WAIT_S if settings.virtual_cell.enabled else 0.0
    return [await _try_probe(name, probe, wait_s, poll) for name, probe in probes]


async def _try_probe(
    name: str,
    probe: Callable[[], Awaitable[str]],
    wait_s: float,
    poll: Callable[[], None],
) -> Finding:
    deadline_s = time.monotonic() + wait_s
    while True:
        poll()
        try:
            return Finding(name, is_good=True, detail=await probe())
        except CellError as error:
            if time.monotonic() >= deadline_s:
                return Finding(name, is_good=False, detail=str(error))
        await asyncio.sleep(0.3)


async def _probe_arm(settings: Settings) -> str:
    if settings.arm.kind != "rtde":
        return "kinematic arm, no robot"
    report = await read_dashboard(settings.arm.host)
    version = ".".join(map(str, report.version))
    problems = []
    if not report.is_tested:
        low, high = (".".join(map(str, v)) for v in TESTED_VERSIONS)
        problems.append(f"PolyScope {version} is outside the tested {low} to {high}")
    if report.safety_mode not in ("NORMAL", "REDUCED"):
        problems.append(f"safety mode is {report.safety_mode}: see the pendant")
    if report.robot_mode != "RUNNING":
        problems.append(f"robot mode is {report.robot_mode}: power on, release brakes")
    if not report.is_remote:
        problems.append("not in remote control: switch it over on the pendant")
    if problems:
        raise CellError("; ".join(problems))
    return f"PolyScope {version}, running, remote control"


async def _probe_gripper(settings: Settings) -> str:
    async with open_gripper(settings.gripper, MonotonicClock()) as gripper:
        state = await gripper.read_state()
    return f"aperture {state.aperture_m * 1000:.0f} mm, active {state.is_active}"


async def _probe_plc(settings: Settings) -> str:
    async with open_plc(settings.plc, MonotonicClock()):
        return "register map agrees"


async def _probe_camera(camera: object) -> str:
    if isinstance(camera, SoftwareCameraConfig):
        try:
            async with asyncio.timeout(2.0):
                _, writer = await asyncio.open_connection(camera.host, camera.port)
        except (OSError, TimeoutError) as error:
            raise CellError(
                f"no frames from {camera.host}:{camera.port} ({error}); start the "
                "frame source or change cameras.*.host and port"
            ) from error
        writer.close()
        return f"frame source at {camera.host}:{camera.port}"
    if isinstance(camera, RealsenseCameraConfig):
        return "looked at when the camera process starts"
    return "recorded frames"


@contextmanager
def _virtual_cell(
    settings: Settings, config_path: Path, runtime: Path, state: Path, lock: int
) -> Iterator[Callable[[], None]]:
    if not settings.virtual_cell.enabled:
        yield lambda: None
        return
    check_ports(compute_virtual_addresses(settings), 6.0)
    logs = make_directory(state / "log")
    configure_logging("check", settings.runtime.log_level, logs / "check.jsonl")
    path = config_path.resolve()
    child_start = ChildStart(
        path, compute_digest(path.read_bytes()), runtime, logs, (lock,)
    )
    host = ProcessHost(VIRTUAL_CELL, child_start, time.monotonic)
    try:
        host.poll()
        yield host.poll
    finally:
        host.stop(time.sleep)  # noqa: TID251  (no event loop runs any more)


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(f) for f in findings], indent=2) + "\n")
        return
    for finding in findings:
        mark = "ok  " if finding.is_good else "FAIL"
        if finding.is_warning:
            mark = "warn"
        sys.stdout.write(f"{mark}  {finding.name:20} {finding.detail}\n")
    count = sum(not finding.is_good for finding in findings)
    if count:
        reasons = "reason" if count == 1 else "reasons"
        sys.stdout.write(f"the cell will not start: {count} {reasons}\n")
    else:
        sys.stdout.write("the cell can start\n")
