"""Limit of the force at the tool: hold, and then only slow motion that relieves it.

The load ratio is the larger of force and torque over their limits, smoothed over some
cycles: a fingertip that meets a part gives a blow of a few milliseconds, which no stop
could take back. A push lasts. Over 1 the ramp to
rest begins. From rest the arm may move slowly as long as the load does not rise above
what it has already fallen to. That needs no belief in the sign of the reading.
"""

import math
from typing import Any

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from safety.joint_checks import compute_travel
from safety.verdicts import SLOWEST, Check, grant, refuse, slow_down

_FORCE = int(HoldReason.TCP_FORCE)

RELIEF_RADPS = 0.1
"""Sum of all joint speeds while the tool is under too much load [rad/s]."""

SMOOTHING_S = 0.01
"""Time constant of the smoothing, that of the force filter in robots of this class."""

# Noise and the swing of the arm; a load that rises by less is not rising.
_SLACK = 0.05


@compiled
def compute_load(wrench: Vector, lim: Any) -> float:
    """Return the load ratio of a reading, shape (6,) [N, N.m]."""
    force = math.sqrt(wrench[0] ** 2 + wrench[1] ** 2 + wrench[2] ** 2)
    torque = math.sqrt(wrench[3] ** 2 + wrench[4] ** 2 + wrench[5] ** 2)
    by_force, by_torque = force / lim["tcp_force_n"], torque / lim["tcp_torque_nm"]
    # The larger of both, and no number where one part of the reading is none.
    load: float = 0.5 * (by_force + by_torque + abs(by_force - by_torque))
    if math.isinf(load):
        return math.nan
    return load


@compiled
def smooth_load(before: float, load: float, lim: Any) -> float:
    """Return the smoothed load ratio; what is no number is passed on at once."""
    gain = lim["period_s"] / (lim["period_s"] + SMOOTHING_S)
    smoothed: float = before + gain * (load - before)
    return smoothed


@compiled
def compute_load_cap(cap: float, load: float, travel: float) -> float:
    """Return the cap after a cycle: 0 until the arm creeps under too much load.

    From then on it only falls with the load, until the load is back below 1.
    """
    if load <= 1.0:
        return 0.0
    if travel == 0.0:
        return cap
    if cap == 0.0:
        return load + _SLACK
    return min(cap, load + _SLACK)


@compiled
def check_load(was: Any, q: Vector, load: float, lim: Any) -> Check:
    """Check a request, shape (6,) [rad], under a smoothed load ratio."""
    margin = 1.0 - load
    if margin >= 0.0:
        return grant(_FORCE, margin, load, -1)
    speed = compute_travel(q, was["q"]) / lim["period_s"]
    before = 0.0
    for i in range(6):
        before += abs(was["qd"][i])
    is_slow = max(speed, before) <= RELIEF_RADPS
    cap = was["load_cap"] if was["load_cap"] > 0.0 else math.inf
    # Written so that a load that is no number is refused.
    if not load <= cap or not is_slow:
        return refuse(_FORCE, margin, load, -1)
    return slow_down(grant(_FORCE, 0.0, load, -1), SLOWEST)
