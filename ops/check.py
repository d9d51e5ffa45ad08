"""`cellward check`: every reason why the cell will not start, in one go."""

import asyncio
import json
import math
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cell.contracts.errors import CellError, ConfigError
from cell.contracts.geometry import Vector
from ops.child_start import ChildStart
from ops.controller_lock import lock_runtime
from ops.device_probes import make_probes
from ops.exit_codes import (
    AlreadyRunningError,
    ExitCode,
    PortTakenError,
    compute_exit_code,
)
from ops.guardian_loading import load_watch
from ops.host import ProcessHost
from ops.logging import configure_logging
from ops.process_table import VIRTUAL_CELL
from ops.processes.priority import NOT_PUNCTUAL, may_run_punctually
from ops.runtime_directory import (
    compute_state_directory,
    make_directory,
    open_runtime_directory,
)
from ops.section_rules import host_of, is_loopback, is_real
from ops.settings import (
    Settings,
    compute_digest,
    compute_model_root,
    is_watched,
    load_settings,
)
from ops.virtual_ports import check_ports, compute_virtual_addresses
from ops.workspace import make_workspace
from policies.manifest import MANIFEST_NAME
from policies.model_directory import read_model_directory
from policies.runtime.loading import load_policies
from safety.zones import Zone

_MIN_FREE_BYTES = 200_000_000
_VIRTUAL_WAIT_S = 20.0
# The centre of a plate is on its surface, which is that of its zone.
_SURFACE_M = 0.005


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
    """Look at configuration, machine, models and devices, and print all findings.

    Raises:
        ConfigError: the configuration cannot be used; told as a finding as well
            where a program reads them.
    """
    try:
        settings = load_settings(config_path)
    except ConfigError as error:
        if as_json:
            finding = Finding("configuration", is_good=False, detail=str(error))
            _print([finding], as_json=True)
        raise
    runtime = open_runtime_directory(settings.runtime.directory)
    state = make_directory(compute_state_directory(settings.runtime.state_directory))
    findings = [Finding("configuration", is_good=True, detail=str(config_path))]
    findings += list(_check_machine(state))
    findings.append(check_model(settings))
    findings += check_guardian(settings)
    findings += note_identities(settings)
    findings += note_places(settings)
    findings += note_zones(settings)
    findings += note_novelty(settings)
    code = ExitCode.NOT_READY
    try:
        with (
            lock_runtime(runtime) as lock,
            _virtual_cell(settings, config_path, runtime, state, lock) as poll,
        ):
            if settings.virtual_cell.enabled:
                detail = "started for this check; what follows are its devices"
                findings.append(Finding("virtual cell", is_good=True, detail=detail))
            findings += asyncio.run(_check_devices(settings, poll))
    except (AlreadyRunningError, PortTakenError) as error:
        # The devices belong to somebody else now, and are not to be disturbed.
        code = compute_exit_code(error)
        detail = f"{error}; the devices were not looked at"
        findings.append(Finding("this computer", is_good=False, detail=detail))
    _print(findings, as_json=as_json)
    return ExitCode.OK if all(finding.is_good for finding in findings) else code


def _check_machine(state: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(state).free
    yield Finding(
        "disk",
        is_good=free > _MIN_FREE_BYTES,
        detail=f"{free // 1_000_000} MB free in {state}; 200 MB are needed",
    )
    if may_run_punctually():
        yield Finding("real-time priority", is_good=True, detail="permitted")
    else:
        yield Finding(
            "real-time priority",
            is_good=True,
            detail=NOT_PUNCTUAL,
            is_warning=True,
        )


def check_model(settings: Settings) -> Finding:
    """Load the model as the policy worker does, and have it answer once."""
    root = compute_model_root(settings)
    loaded = load_policies(settings.policy, root, make_workspace(settings))
    if loaded.complaint is not None:
        # The fallback picks, so this keeps nothing from starting.
        detail = loaded.complaint.text
        return Finding("model", is_good=True, detail=detail, is_warning=True)
    return Finding("model", is_good=True, detail=loaded.live.name)


def check_guardian(settings: Settings) -> list[Finding]:
    """Load the Guardian's model as its worker does, where there is one to be watched.

    Without it the fallback picks, so nothing keeps the cell from starting.
    """
    if not is_watched(settings):
        return []
    try:
        detail = load_watch(settings).name
    except CellError as error:
        return [Finding("guardian", is_good=True, detail=str(error), is_warning=True)]
    return [Finding("guardian", is_good=True, detail=detail)]


def note_identities(settings: Settings) -> list[Finding]:
    """Name what could be exchanged for something else without being noticed."""
    arm, notes = settings.arm, []
    if arm.kind == "rtde" and not arm.serial_number:
        notes.append(
            f"any robot at {arm.host} is taken for the calibrated one: enter its "
            "number (pendant: About, or `get serial number` at its dashboard server) "
            "as arm.serial_number"
        )
    notes += [
        f"any camera at {camera.host}:{camera.port} is taken for the calibrated one: "
        f"enter its number as cameras.{name}.serial"
        for name, camera in settings.cameras.items()
        if camera.kind == "software" and not camera.serial
    ]
    if settings.cell.part is None:
        notes.append("neither width nor mass of what is lifted is compared: cell.part")
    return [
        Finding("identity", is_good=True, detail=note, is_warning=True)
        for note in notes
    ]


def note_places(settings: Settings) -> list[Finding]:
    """Name what is reached at this computer although the robot is another machine."""
    if not is_real(settings.arm):
        return []
    hosts = {
        "gripper.host": host_of(settings.gripper),
        "plc.host": host_of(settings.plc),
        **{
            f"cameras.{name}.host": host_of(camera)
            for name, camera in settings.cameras.items()
            if camera.kind == "software"
        },
    }
    return [
        Finding(
            "place",
            is_good=True,
            detail=f"{key} is {host}, this computer, and the robot is at"
            f" {host_of(settings.arm)}: make sure that no virtual cell answers there",
            is_warning=True,
        )
        for key, host in hosts.items()
        if is_loopback(host)
    ]


def note_zones(settings: Settings) -> list[Finding]:
    """Name what the guard's zones leave open; no zone is made from other sections."""
    cell, zones = settings.cell, settings.safety.zones
    notes = []
    if not zones:
        notes.append(
            "safety.zones is empty: the guard keeps the arm out of nothing but itself"
        )
    places = {
        "cell.bin": cell.bin.base_from_bin.position_m,
        "cell.outfeed": cell.outfeed.base_from_outfeed.position_m,
    }
    notes += [
        f"the centre of {name} lies in no box and no cylinder of safety.zones. Zones"
        " are not made from cell.bin and cell.outfeed: whoever moves one of them moves"
        " its zone as well"
        for name, place_m in places.items()
        if zones and not any(_encloses(zone, np.array(place_m)) for zone in zones)
    ]
    return [
        Finding("zones", is_good=True, detail=note, is_warning=True) for note in notes
    ]


def note_novelty(settings: Settings) -> list[Finding]:
    """Say so where the learned policy cannot tell a picture unlike its training."""
    if not is_watched(settings):
        return []
    directory = compute_model_root(settings) / settings.policy.live
    try:
        manifest = read_model_directory(directory).manifest
    except CellError:
        # What is wrong with it is the finding of `check_model`.
        return []
    if manifest.novelty is not None:
        return []
    detail = (
        f"{directory / MANIFEST_NAME} holds no novelty: every picture is answered,"
        " however unlike those of training; fit it with `policy novelty`, or export"
        " the model again"
    )
    return [Finding("novelty", is_good=True, detail=detail, is_warning=True)]


def _encloses(zone: Zone, place_m: Vector) -> bool:
    """Tell whether a body of its own holds a place in base, shape (3,) [m].

    A half-space does not: nothing in it moves with a bin.
    """
    if zone.kind == "half_space":
        return False
    x_m, y_m, z_m = np.abs(zone.base_from_zone().inverse().apply(place_m)).tolist()
    if zone.kind == "box":
        half_x_m, half_y_m, half_z_m = zone.half_m
        is_beside = x_m > half_x_m + _SURFACE_M or y_m > half_y_m + _SURFACE_M
    else:
        half_z_m = zone.half_height_m
        is_beside = math.hypot(x_m, y_m) > zone.radius_m + _SURFACE_M
    return not is_beside and z_m <= half_z_m + _SURFACE_M


async def _check_devices(settings: Settings, poll: Callable[[], None]) -> list[Finding]:
    wait_s = _VIRTUAL_WAIT_S if settings.virtual_cell.enabled else 0.0
    return [
        await _try_probe(name, probe, wait_s, poll)
        for name, probe in make_probes(settings).items()
    ]


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
