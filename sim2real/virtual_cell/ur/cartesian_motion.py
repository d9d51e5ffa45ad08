"""Generators of tool motion: straight lines and tool velocities."""

import math
from collections.abc import Sequence

import numpy as np

from sim2real.virtual_cell.ur.frames import (
    Frame,
    compose,
    compute_dot,
    compute_rotvec,
    invert,
    make_rotation,
)
from sim2real.virtual_cell.ur.joint_motion import Trapezoid
from sim2real.virtual_cell.ur.kinematics import (
    Joints,
    compute_flange,
    compute_jacobian,
    compute_joints,
)

_DAMPING = 1e-3


class UnreachableError(Exception):
    """A tool pose that no joint position reaches."""


class LineMove:
    """A straight tool line with the rotation turning evenly along it.

    Args:
        start: joint position at the start [rad].
        base_from_tcp: tool pose at the end.
        flange_from_tcp: the active tool.
        speed_mps: along the line, or [rad/s] where the rotation is longer.
        acceleration: of both ramps [m/s2].
    """

    def __init__(
        self,
        start: Joints,
        base_from_tcp: Frame,
        flange_from_tcp: Frame,
        speed_mps: float,
        acceleration: float,
    ) -> None:
        self._q = start
        self._tcp_from_flange = invert(flange_from_tcp)
        self._start = compose(compute_flange(start), flange_from_tcp)
        start_from_goal = compose(invert(self._start), base_from_tcp)
        self._turn = compute_rotvec(start_from_goal.axes)
        self._shift = start_from_goal.origin
        length = math.sqrt(compute_dot(self._shift, self._shift))
        angle = math.sqrt(compute_dot(self._turn, self._turn))
        self._profile = Trapezoid(max(length, angle), speed_mps, acceleration)
        self._time_s = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the goal is reached."""
        return self._time_s >= self._profile.duration_s

    def step(self, dt_s: float) -> Joints:
        """Advance along the line.

        Raises:
            UnreachableError: the line leaves the reach of the arm.
        """
        self._time_s += dt_s
        ratio = self._profile.compute_ratio(self._time_s)
        x, y, z = self._turn
        dx, dy, dz = self._shift
        step = Frame(
            make_rotation((x * ratio, y * ratio, z * ratio)),
            (dx * ratio, dy * ratio, dz * ratio),
        )
        flange = compose(compose(self._start, step), self._tcp_from_flange)
        q = compute_joints(flange, self._q)
        if q is None:
            raise UnreachableError("the straight line leaves the reach of the arm")
        self._q = q
        return q


class ToolSpeed:
    """Ramps to a tool velocity in base axes and keeps it, like `speedl` in a loop."""

    def __init__(
        self, q: Joints, flange_from_tcp: Frame, twist: Sequence[float]
    ) -> None:
        self._q = q
        self._flange_from_tcp = flange_from_tcp
        self._twist = tuple(twist)
        self._target = self._twist
        self._acceleration = 0.5

    @property
    def is_done(self) -> bool:
        """Never: the velocity is kept until it is stopped."""
        return False

    def set_target(self, twist: Sequence[float], acceleration: float) -> None:
        """Set linear and angular velocity [m/s, rad/s] and the ramp [m/s2]."""
        self._target = tuple(twist)
        self._acceleration = max(acceleration, 1e-3)

    def step(self, dt_s: float) -> Joints:
        """Advance ramp and position."""
        gap = max(abs(b - a) for a, b in zip(self._twist, self._target, strict=True))
        share = 1.0 if gap == 0.0 else min(1.0, self._acceleration * dt_s / gap)
        self._twist = tuple(
            a + share * (b - a) for a, b in zip(self._twist, self._target, strict=True)
        )
        tcp = compose(compute_flange(self._q), self._flange_from_tcp)
        jac = np.array(compute_jacobian(self._q, tcp.origin)).T
        # Light damping keeps the solution finite at a singularity; the speed limit of
        # the arm then stops the motion, as on the robot.
        rates = jac.T @ np.linalg.solve(
            jac @ jac.T + _DAMPING**2 * np.eye(6), np.array(self._twist)
        )
        self._q = tuple(
            q + dt_s * rate for q, rate in zip(self._q, rates.tolist(), strict=True)
        )
        return self._q
