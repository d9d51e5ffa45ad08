"""Brings a running cell to the moment of an injection, and back to work after it."""

import contextlib
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cell.contracts.servo import HoldReason
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.servo_link import STATE
from sim2real.faults.arm_trace import ArmRecorder
from sim2real.faults.robot_scenarios import say_to_dashboard
from sim2real.faults.stand import Stand, StandError
from sim2real.virtual_cell.links import JOINT_TARGET
from sim2real.virtual_cell.plc.panel import COMMANDS, Panel
from sim2real.virtual_cell.plc.records import PLC_STATE
from tests.stress.servo_trace import ServoTrace

NEXT_COMMAND: Final = {
    "ABORTED": "clear",
    "STOPPED": "reset",
    "IDLE": "start",
    "HELD": "unhold",
}
WORKING: Final = ("EXECUTE", "COMPLETING")
_BACK_S: Final = 90.0
_MOVING_S: Final = 90.0
_FRESH_NS: Final = 1_000_000_000
_AGAIN_S: Final = 1.0
"""A press that led nowhere is repeated after so long."""
_MOVING_RADPS: Final = 0.1
_DELAY_S: Final = 0.4


@dataclass
class Trace:
    """Everything that is recorded around one injection.

    Attributes:
        servo: states and orders.
        arm: orders of the robot controller, and the joints.
    """

    servo: ServoTrace
    arm: ArmRecorder


@contextmanager
def record(stand: Stand) -> Iterator[Trace]:
    """Record until the end of the block."""
    files = stand.files
    with ServoTrace(files.runtime) as servo, ArmRecorder(files.cell_runtime) as arm:
        yield Trace(servo, arm)


def wait_for_moment(stand: Stand, rng: random.Random) -> None:
    """Wait for a random moment at which the cell executes and the arm moves.

    Moments are drawn until one falls into motion, so that every part of every motion
    is as likely as its duration.

    Raises:
        StandError: it never comes.
    """
    targets = Mailbox.open(stand.files.cell_runtime / "vc_joint_target", JOINT_TARGET)
    states = Mailbox.open(stand.files.runtime / "servo_state", STATE)
    deadline_s = time.monotonic() + _MOVING_S
    try:
        while time.monotonic() < deadline_s:
            time.sleep(rng.uniform(0.0, _DELAY_S))
            target, state = targets.read(), states.read()
            if target is None or state is None:
                continue
            is_moving = float(np.max(np.abs(target["qd"]))) > _MOVING_RADPS
            is_followed = int(state["hold_reason"]) == HoldReason.NONE
            status = stand.status()
            if is_moving and is_followed and status.get("state") in WORKING:
                return
            if status.get("state") in NEXT_COMMAND:
                reason = status.get("state_reason")
                sys.stderr.write(f"  {status['state']}, unhelped: {reason}\n")
                resume(stand)
    finally:
        targets.close()
        states.close()
    raise StandError("the arm does not move")


def resume(stand: Stand) -> None:
    """Do what a person does at the panel until the cell executes, without dawdling.

    Raises:
        StandError: it does not come back.
    """
    panel = Panel(stand.files.cell_runtime)
    deadline_s = time.monotonic() + _BACK_S
    pressed, pressed_s = "", 0.0
    while time.monotonic() < deadline_s:
        status = stand.status()
        state = str(status.get("state", ""))
        is_fresh = time.monotonic_ns() - int(status.get("stamp_ns", 0)) < _FRESH_NS
        if state in (*WORKING, "SUSPENDED") and is_fresh:
            return
        is_due = state != pressed or time.monotonic() > pressed_s + _AGAIN_S
        if is_due and "protective stop" in str(status.get("state_reason", "")):
            _unlock(stand)
        if state in NEXT_COMMAND and is_fresh and is_due:
            is_fault = state in ("ABORTED", "HELD")
            panel.press(COMMANDS[NEXT_COMMAND[state]], fault_ack=is_fault)
            pressed, pressed_s = state, time.monotonic()
        time.sleep(0.02)
    status = stand.status()
    raise StandError(
        f"the cell did not come back: {status.get('state')},"
        f" {status.get('state_reason')}; {status.get('permissives')}"
    )


def _unlock(stand: Stand) -> None:
    """Unlock a protective stop at the pendant; the robot makes a person wait for it."""
    with contextlib.suppress(StandError, OSError):
        say_to_dashboard(stand, "unlock protective stop")


def read_line(runtime: Path) -> np.void:
    """Return what the virtual line PLC says about itself.

    Raises:
        StandError: it never said anything.
    """
    box = Mailbox.open(runtime / "vc_plc_state", PLC_STATE)
    try:
        found = box.read()
    finally:
        box.close()
    if found is None:
        raise StandError("the virtual line PLC never ran")
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Look every few milliseconds; say whether the condition came true in time."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def keep_logs(stand: Stand, folder: Path) -> None:
    """Keep what tells how a limit was violated: a stand takes its logs with it."""
    for name, logs in (
        ("controller", stand.files.logs),
        ("cell", stand.files.cell_logs),
    ):
        shutil.copytree(logs, folder / name, dirs_exist_ok=True)
