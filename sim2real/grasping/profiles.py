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
    motion = ruckig.InputParameter(1)
    motion.current_position = [0.0]
    motion.current_velocity = [0.0]
    motion.current_acceleration = [0.0]
    motion.target_position = [length]
    motion.target_velocity = [0.0]
    motion.target_acceleration = [0.0]
    motion.max_velocity = [limits.speed]
    motion.max_acceleration = [limits.acceleration]
    motion.max_jerk = [limits.jerk]
    trajectory = ruckig.Trajectory(1)
    result = ruckig.Ruckig(1).calculate(motion, trajectory)
    if result not in (ruckig.Result.Working, ruckig.Result.Finished):
        raise ValueError(f"no motion of length {length} within {limits}")
    ticks = int(np.ceil(trajectory.duration / period_s)) + 1
    times = np.minimum(np.arange(ticks) * period_s, trajectory.duration)
    return np.array([trajectory.at_time(float(t))[0][0] for t in times])
