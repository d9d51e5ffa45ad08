"""States, limits and surroundings for tests at the edges of the envelope."""

from typing import Any

import numpy as np

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from cell.kinematics.kernels import compose, fill_frames
from safety.limits import make_limits
from safety.verdicts import make_state
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

MS = 1_000_000
NOW_NS = 1_000 * MS
TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
STILL = np.zeros(6)
MOVING = np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
SHORT_S = 2.0**-8
"""A period in which quotients come out without rounding [s]."""

POSITION = int(HoldReason.JOINT_POSITION)
SPEED = int(HoldReason.JOINT_SPEED)
WORKSPACE = int(HoldReason.WORKSPACE)


def state(q: Any = HOME_Q, qd: Any = STILL, vetted_ns: int = NOW_NS - 2 * MS) -> Any:
    """What was granted last: at home and at rest, one period ago."""
    made = make_state(q)
    made["qd"], made["vetted_ns"] = qd, vetted_ns
    return made


def limits(period_s: float = PERIOD_S, **changes: Any) -> Any:
    """The limits of the test cell, with what a test sets otherwise."""
    made = make_limits(SAFETY, TOOL, period_s)
    for key, value in changes.items():
        made[key] = value
    return made


def first(found: Any) -> Any:
    """Reason, margin and value; what is refused asks for the slowest approach."""
    if found[0]:
        assert found[4] == 0.1
    return found[:3]


def find_transforms(q: Any) -> tuple[Any, Any]:
    """Frames of the links and of the tool, as the envelope works them out."""
    frames, tcp = np.empty((7, 3, 4)), np.empty((3, 4))
    fill_frames(np.array(q), frames)
    compose(frames[6], limits()[0]["flange_from_tcp"], tcp)
    return frames, tcp


def find_tool(q: Any) -> Any:
    """The tool point to the last digit, as the envelope sees it."""
    return find_transforms(q)[1][:, 3]


def one(joint: int, value: float) -> Any:
    """Six joints of which one alone is not at nothing."""
    vector = np.zeros(6)
    vector[joint] = value
    return vector
