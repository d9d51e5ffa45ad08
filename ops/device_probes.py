"""Asks every configured device whether the cell could start with it.

Each probe goes the way that the running cell goes, up to the first answer, and commands
nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from cell.config import CameraConfig
from cell.contracts.errors import CellError
from cell.contracts.geometry import Pose
from cell.drivers.arm.dashboard import DashboardReport, read_dashboard
from cell.drivers.arm.identity import require_robot
from cell.drivers.arm.probe import check_controller_version, read_controller_version
from cell.drivers.camera.opening import open_camera
from cell.drivers.clock import MonotonicClock
from cell.drivers.gripper.opening import open_gripper
from cell.drivers.plc.opening import open_plc
from ops.settings import Settings

_RTDE_TIMEOUT_S = 2.0
_FRAME_TIMEOUT_S = 3.0

Probe = Callable[[], Awaitable[str]]
"""Returns what was seen; raises `CellError` with what to do where that will not do."""


def make_probes(settings: Settings) -> dict[str, Probe]:
    """Return a probe for each device, by the name a person knows it by."""
    probes: dict[str, Probe] = {
        "plc": partial(_probe_plc, settings),
        "gripper": partial(_probe_gripper, settings),
        "arm": partial(_probe_arm, settings),
    }
    for name, camera in settings.cameras.items():
        probes[f"camera {name}"] = partial(_probe_camera, name, camera)
    return probes


async def _probe_arm(settings: Settings) -> str:
    if settings.arm.kind != "rtde":
        return "kinematic arm, no robot"
    host = settings.arm.host
    version = await asyncio.to_thread(read_controller_version, host, _RTDE_TIMEOUT_S)
    check_controller_version(version, host)
    problems = find_arm_problems(await read_dashboard(host))
    if problems:
        raise CellError("; ".join(problems))
    shown = ".".join(map(str, version[:3]))
    seen = f"PolyScope {shown} at {host}, running, remote control"
    expected = settings.arm.serial_number
    if not expected:
        return seen
    await asyncio.to_thread(require_robot, host, expected, _RTDE_TIMEOUT_S)
    return f"{seen}, serial number {expected}"


def find_arm_problems(report: DashboardReport) -> list[str]:
    """Return what a person has to do at the pendant before the cell can start."""
    problems = []
    if report.safety_mode not in ("NORMAL", "REDUCED"):
        problems.append(f"safety mode is {report.safety_mode}: see the pendant")
    if report.robot_mode != "RUNNING":
        problems.append(f"robot mode is {report.robot_mode}: power on, release brakes")
    if not report.is_remote:
        problems.append("not in remote control: switch it over on the pendant")
    return problems


async def _probe_gripper(settings: Settings) -> str:
    async with open_gripper(settings.gripper, MonotonicClock()) as gripper:
        state = await gripper.read_state()
    return f"aperture {state.aperture_m * 1000:.0f} mm, active {state.is_active}"


async def _probe_plc(settings: Settings) -> str:
    async with open_plc(settings.plc, MonotonicClock()):
        return "register map agrees"


async def _probe_camera(name: str, config: CameraConfig) -> str:
    return await asyncio.to_thread(_look_once, name, config)


def _look_once(name: str, config: CameraConfig) -> str:
    with open_camera(name, config, Pose.identity) as camera:
        frame = camera.read_frame(_FRAME_TIMEOUT_S)
    height_px, width_px = frame.depth_m.shape
    return f"{config.kind}, {width_px}x{height_px} pixels"
