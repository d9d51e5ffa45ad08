"""Orders to the servo process before anything is put into them. Pure."""

from dataclasses import replace
from typing import Final

import numpy as np

from cell.contracts.geometry import Pose
from cell.contracts.servo import (
    RESTING_MODES,
    MotionMode,
    ServoCommand,
    ServoState,
)

LARGEST_PART_M: Final = (0.04, 0.05)
"""Radius, and length beyond the tool point, that enclose the largest part of the bin,
of 70 mm, however it hangs from the fingers [m]."""


def make_first_command(
    last: ServoCommand | None, state: ServoState | None, now_ns: int
) -> ServoCommand:
    """Return the first order of this process's life, a hold.

    Ids go on from an earlier life, or the servo process would ignore us.

    Args:
        last: newest order of that life, None when there was none.
        state: what the servo process says, None while it says nothing.
        now_ns: monotonic clock.
    """
    seen_id = 0 if state is None else state.command_id
    left_arm_id = 0 if last is None else last.arm_id
    return ServoCommand(
        stamp_ns=now_ns,
        command_id=max(seen_id, 0 if last is None else last.command_id) + 1,
        # A release that an earlier life left behind must not come true now.
        arm_id=left_arm_id if state is None else state.arm_id,
        mode=MotionMode.HOLD,
        q_target=np.zeros(6) if state is None else state.q,
        base_from_tcp=Pose.identity() if state is None else state.base_from_tcp,
    )


def make_blank(
    before: ServoCommand, state: ServoState | None, mode: MotionMode
) -> ServoCommand:
    """Return an order whose targets are where the arm is measured to be."""
    return replace(
        before,
        mode=mode,
        q_target=before.q_target if state is None else state.q,
        base_from_tcp=before.base_from_tcp if state is None else state.base_from_tcp,
        arrival_rad=0.0,
        chunk_id=0,
        chunk=None,
    )


def asks_for_rest(order: ServoCommand, state: ServoState | None) -> bool:
    """Say whether an order asks for no motion, or for none any more."""
    if order.mode in RESTING_MODES:
        return True
    # An order to blend counts as reached while the arm is still on its way.
    is_reached = state is not None and state.reached_id >= order.command_id
    return is_reached and order.arrival_rad <= 0.0
