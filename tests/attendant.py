"""A person at the panel of a cell under test.

A machine that gives a process no turns for a while makes the cell stop for its PLC, its
robot or its own supervisor, as it should, and wait for a person. Tests of something
else acknowledge that and go on; any other reason to call a person fails them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from cell.supervisor.causes import Cause
from cell.supervisor.decision import is_assist
from sim2real.virtual_cell.plc.panel import COMMANDS, Panel
from tests.running_cell import RunningCell

LATE = {
    Cause.GRIPPER_LOST,
    Cause.MOTION_TIMEOUT,
    Cause.PLC_LOST,
    Cause.ROBOT_LINK_LOST,
    Cause.SERVO_LOST,
    Cause.SUPERVISOR_STALLED,
}
"""What a machine may make of processes that do not get their turns; nothing else may
call for a person."""
_NEXT_COMMAND = {
    "ABORTED": "clear",
    "STOPPED": "reset",
    "IDLE": "start",
    "HELD": "unhold",
}
_DEFECTS = {"TRACKING_ERROR", "GUARD_EXCEPTION"}
_COME_BACK_S = 180.0


def find_late(cell: RunningCell) -> set[Cause]:
    """Return what a slow machine may have made of this run, by what it recorded.

    A servo process that got no turns may find the arm beside its approved way to rest.
    """
    faults = {r["reason"] for r in cell.log("servo") if r.get("event") == "fault"}
    is_late = "PLAN_REFUSED" in faults and not faults & _DEFECTS
    return LATE | {Cause.SERVO_FAULT} if is_late else LATE


def find_assists(stops_by_reason: Sequence[str]) -> set[Cause]:
    """Return which of the named reasons to stop called for a person."""
    return {cause for cause in map(Cause, stops_by_reason) if is_assist(cause)}


def needs_person(status: dict[str, Any]) -> bool:
    """Whether the cell waits for a person, and not for a device to come back."""
    is_latched = status.get("state") in ("ABORTED", "HELD")
    return is_latched and status.get("clears") != "by itself"


def help_if_late(cell: RunningCell) -> None:
    """Bring a cell back that the machine held up; fail where anything else did."""
    status = cell.status()
    if needs_person(status):
        assists = find_assists(status.get("stops_by_reason", ()))
        assert assists <= find_late(cell), status
        bring_back(cell, Panel(cell.runtime))


def wait_attended(
    cell: RunningCell, condition: Callable[[dict[str, Any]], bool], timeout_s: float
) -> dict[str, Any]:
    """Wait as `RunningCell.wait_for` does, with a person at hand: `help_if_late`."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        left_s = deadline_s - time.monotonic()
        status = cell.wait_for(lambda s: condition(s) or needs_person(s), left_s)
        if condition(status):
            return status
        help_if_late(cell)


def bring_back(cell: RunningCell, panel: Panel) -> None:
    """Do what the status asks a person to do until the cell executes again."""
    deadline_s = time.monotonic() + _COME_BACK_S
    while time.monotonic() < deadline_s:
        state = cell.status().get("state", "")
        if state in ("EXECUTE", "SUSPENDED") and is_fresh(cell):
            return
        if state in ("ABORTED", "HELD"):
            panel.press(fault_ack=True)
            time.sleep(0.2)
        if state in _NEXT_COMMAND:
            panel.press(COMMANDS[_NEXT_COMMAND[state]])
        time.sleep(0.3)
    raise AssertionError(f"the cell did not come back: {cell.status()}")


def is_fresh(cell: RunningCell) -> bool:
    """Whether the supervisor writes its status."""
    first = cell.status().get("stamp_ns")
    time.sleep(0.5)
    return cell.status().get("stamp_ns") != first
