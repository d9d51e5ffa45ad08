"""How F26 is tried: another device stands where the configured one was."""

import time
from typing import Final

from sim2real.faults.evidence import Evidence
from sim2real.faults.scenario import CellScenario, make_event_sign
from sim2real.faults.stand import Stand, pause
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


IDENTITY_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F26": CellScenario(
        inject=_exchange_robot,
        repair=_bring_robot_back,
        sign=_robot_refused,
        patience_s=15.0,
        effect=_find_released_robot,
        event=("servo", "no arm"),
    ),
}
"""By row."""
