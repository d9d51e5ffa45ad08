"""Jerk-limited motion along a path, as the servo process makes it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import ruckig

from cell.contracts.geometry import Vector


@dataclass(frozen=True)
class MotionLimits:
    """Limits of one scalar motion, in units of its path parameter."""

    speed: float
    acceleration: float
    jerk: float


@lru_cache(maxsize=256)
def compute_profile(length: float, limits: MotionLimits, period_s: float) -> Vector:
    """Return path positions 0..length, one for each period, from rest to rest."""
    return compute_joint_path(np.zeros(1), np.array([length]), limits, period_s)[:, 0]


def compute_joint_path(
    start: Vector, end: Vector, limits: MotionLimits, period_s: float
) -> Vector:
    """Return positions of all joints, one row for each period, from rest to rest.

    All joints take the same time and keep the same share of their way.

    Args:
        start: shape (joints,).
        end: shape (joints,).
        limits: of every joint.
        period_s: time between rows.

    Raises:
        ValueError: no motion between the two keeps the limits.
    """
    joints = len(start)
    motion = ruckig.InputParameter(joints)
    motion.current_position = start.tolist()
    motion.target_position = end.tolist()
    motion.max_velocity = [limits.speed] * joints
    motion.max_acceleration = [limits.acceleration] * joints
    motion.max_jerk = [limits.jerk] * joints
    motion.synchronization = ruckig.Synchronization.Phase
    trajectory = ruckig.Trajectory(joints)
    result = ruckig.Ruckig(joints).calculate(motion, trajectory)
    if result not in (ruckig.Result.Working, ruckig.Result.Finished):
        raise ValueError(f"no motion from {start} to {end} within {limits}")
    ticks = int(np.ceil(trajectory.duration / period_s)) + 1
    times = np.minimum(np.arange(ticks) * period_s, trajectory.duration)
    return np.array([trajectory.at_time(float(t))[0] for t in times])
