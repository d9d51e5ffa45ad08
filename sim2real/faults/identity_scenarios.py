"""How F26 and F38 are tried: another device stands where the configured one was."""

import time
from collections.abc import Mapping
from typing import Final

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from sim2real.faults.evidence import Evidence
from sim2real.faults.scenario import CellScenario, make_event_sign
from sim2real.faults.stand import Stand, pause
from sim2real.faults.stand_config import Wire
from sim2real.virtual_cell.ur.faults import UrFault, request_fault

_TRIES_S: Final = 4.0
_AT_WORK: Final = ("IDLE", "STARTING", "EXECUTE")
_AT_REST: Final = ("ABORTED", "HELD", "STOPPED")
_REST_S: Final = 30.0


def _exchange_robot(stand: Stand) -> None:
    request_fault(stand.files.cell_runtime, UrFault.OTHER_ROBOT, 1.0)


def _bring_robot_back(stand: Stand) -> None:
    request_fault(stand.files.cell_runtime, UrFault.OTHER_ROBOT, 0.0)


_robot_refused: Final = make_event_sign("servo", "no arm", code="ARM_WRONG_ROBOT")


def _robot_named(evidence: Evidence, _now_ns: int) -> int | None:
    """Return when the cell's stop named the other robot, as its reason or as well."""
    cause = Cause.ARM_WRONG_ROBOT
    for line in evidence.events():
        reason = str(line.fields.get("reason", ""))
        is_also = line.event == "also" and line.fields.get("cause") == cause.value
        is_reason = line.event == "state" and reason.startswith(FACTS[cause].text)
        if is_also or is_reason:
            return line.seen_ns
    return None


def _find_released_robot(evidence: Evidence) -> str:
    """Miss a robot that stays at rest whatever a person presses."""
    stand = evidence.stand
    refused_ns = _robot_refused(evidence, 0)
    if refused_ns is None:
        return "the robot was not refused"
    deadline_s = time.monotonic() + _TRIES_S
    while time.monotonic() < deadline_s:
        for button in ("ack", "clear", "unhold", "reset", "start"):
            stand.press(button)
            pause(0.2)
            state = stand.status().get("state")
            if state in _AT_WORK:
                return f"with another robot the cell went to {state}"
    # Unhold tries to make the arm ready, and gives up; so that nothing of it is left.
    stand.wait_for(lambda s: s.get("state") in _AT_REST, _REST_S, "rest")
    if evidence.find_motion_ns(refused_ns, time.monotonic_ns()) is not None:
        return "another robot was moved"
    return ""


def _lead_cameras(stand: Stand, sources: Mapping[Wire, Wire]) -> None:
    """Lead each camera's wire to the feed of one of them, with new connections."""
    for wire, source in sources.items():
        port = getattr(stand.files.settings.cameras[source.value], "port", 0)
        stand.wires[wire].set_target((stand.files.cell_host, port))
    for wire in sources:
        stand.wires[wire].reset_connections()


_SWAPPED: Final = {Wire.CAMERA: Wire.WRIST, Wire.WRIST: Wire.CAMERA}
_IN_PLACE: Final = {wire: wire for wire in _SWAPPED}

_camera_refused: Final = make_event_sign(
    "camera", "camera fails", code="CAMERA_WRONG_DEVICE"
)


def _find_taken_picture(evidence: Evidence) -> str:
    """Miss that no picture of the other camera was taken for one of the bin."""
    refused_ns = _camera_refused(evidence, 0)
    if refused_ns is None:
        return "the other camera was not refused"
    newest_ns = evidence.stand.newest_picture_ns()
    return "a picture of the other camera was taken" if newest_ns > refused_ns else ""


IDENTITY_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F26": CellScenario(
        inject=_exchange_robot,
        repair=_bring_robot_back,
        sign=_robot_named,
        patience_s=15.0,
        effect=_find_released_robot,
        event=("servo", "no arm"),
    ),
    "F38": CellScenario(
        inject=lambda stand: _lead_cameras(stand, _SWAPPED),
        repair=lambda stand: _lead_cameras(stand, _IN_PLACE),
        sign=_camera_refused,
        patience_s=20.0,
        lasts_s=15.0,
        effect=_find_taken_picture,
        event=("camera", "camera fails"),
        wires=frozenset({Wire.CAMERA, Wire.WRIST}),
        stops_arm=False,
    ),
}
"""By row."""
