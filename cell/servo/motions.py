"""The three motions of the servo process, each jerk-limited: rest, joints, line.

A motion starts from a given state and yields one joint position per control period.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import ruckig

from cell.config import MotionConfig
from cell.contracts.errors import TargetUnreachableError
from cell.contracts.geometry import Pose, Vector
from cell.kinematics import compute_base_from_tcp
from cell.kinematics.arm import transform_of
from cell.servo.line import compute_tcp_speed, follow_line

_LINE_STEP_M = 0.01
_LEFT_M, _LEFT_RAD = 1e-5, 1e-4
# One radian of turning counts as this much way, so that pure turns take their time.
_METRES_PER_RADIAN = 0.25
_SPEED_SAMPLES = 24
_SPEED_TRIES = 4
_LEAST_RATIO = 0.01


@dataclass(frozen=True, eq=False)
class JointPoint:
    """Position [rad], velocity [rad/s], acceleration [rad/s^2], shape (6,) each."""

    q: Vector
    qd: Vector
    qdd: Vector

    @classmethod
    def at_rest(cls, q: Vector) -> "JointPoint":
        """Return a point without motion."""
        return cls(q.copy(), np.zeros(6), np.zeros(6))


@dataclass(frozen=True, eq=False)
class MotionLimits:
    """What the interpolator plans with.

    Attributes:
        motion: speeds, accelerations and jerks of the configuration.
        tcp_speed_mps: bound for joint moves, below the guard's.
        flange_from_tcp: tool.
        period_s: control period.
    """

    motion: MotionConfig
    tcp_speed_mps: float
    flange_from_tcp: Pose
    period_s: float


class Motion(Protocol):
    """One order being carried out."""

    is_done: bool

    def step(self, speed_ratio: float) -> JointPoint:
        """Return the next point, planned for 0..1 of the speed limits."""
        ...


class RestMotion:
    """Ramp to rest with bounded jerk, then stay."""

    def __init__(self, start: JointPoint, limits: MotionLimits) -> None:
        self._point = start
        self._otg = ruckig.Ruckig(6, limits.period_s)
        self._out = ruckig.OutputParameter(6)
        self._in = _joint_input(start, limits)
        self._in.control_interface = ruckig.ControlInterface.Velocity
        self._in.target_velocity = [0.0] * 6
        self._in.target_acceleration = [0.0] * 6
        self.is_done = not (start.qd.any() or start.qdd.any())

    def step(self, speed_ratio: float) -> JointPoint:  # noqa: ARG002  (stopping has no speed)
        """Return the next point of the ramp."""
        if self.is_done:
            return self._point
        self.is_done = _advance(self._otg, self._in, self._out)
        self._point = _joint_point(self._out)
        if self.is_done:
            self._point = JointPoint.at_rest(self._point.q)
        return self._point


class JointMotion:
    """Move to a joint target, also out of another motion."""

    def __init__(
        self, start: JointPoint, q_target: Vector, limits: MotionLimits
    ) -> None:
        self._limits = limits
        self._q_target = q_target.copy()
        self._otg = ruckig.Ruckig(6, limits.period_s)
        self._out = ruckig.OutputParameter(6)
        self._in = _joint_input(start, limits)
        self._in.target_position = q_target.tolist()
        self._in.synchronization = ruckig.Synchronization.Phase
        self._tool = transform_of(limits.flange_from_tcp)
        self._ratio = 0.0
        self._point = start
        self.is_done = False

    def step(self, speed_ratio: float) -> JointPoint:
        """Return the next point."""
        if self.is_done:
            return self._point
        if speed_ratio != self._ratio:
            self._ratio = speed_ratio
            self._replan(max(speed_ratio, _LEAST_RATIO))
        self.is_done = _advance(self._otg, self._in, self._out)
        if self.is_done:
            self._point = JointPoint.at_rest(self._q_target)
        else:
            self._point = _joint_point(self._out)
        return self._point

    def _replan(self, ratio: float) -> None:
        """Choose joint speeds for which the tool stays below its own limit."""
        speed = self._limits.motion.joint_speed_radps * ratio
        bound = self._limits.tcp_speed_mps
        trajectory = ruckig.Trajectory(6)
        for _ in range(_SPEED_TRIES):
            self._in.max_velocity = [speed] * 6
            try:
                self._otg.calculate(self._in, trajectory)
            except ruckig.RuckigError as error:
                raise TargetUnreachableError(f"no joint trajectory: {error}") from error
            peak, joint_peak = self._peak_speeds(trajectory)
            if peak <= bound:
                return
            # A short move does not reach the joint limit: start from what it reaches.
            speed = 0.98 * min(speed, joint_peak) * bound / peak

    def _peak_speeds(self, trajectory: "ruckig.Trajectory") -> tuple[float, float]:
        """Return the largest speed of the tool [m/s] and of a joint [rad/s]."""
        tool_peak, joint_peak = 0.0, 0.0
        for time_s in np.linspace(0.0, trajectory.duration, _SPEED_SAMPLES).tolist():
            q, qd, *_ = trajectory.at_time(time_s)
            speed = compute_tcp_speed(np.array(q), np.array(qd), self._tool)
            tool_peak = max(tool_peak, speed)
            joint_peak = max(joint_peak, *map(abs, qd))
        return tool_peak, joint_peak


class LineMotion:
    """Move the tool along a straight line, from rest."""

    def __init__(
        self, q_start: Vector, base_from_tcp: Pose, limits: MotionLimits
    ) -> None:
        """Check the whole line before anything moves.

        Raises:
            TargetUnreachableError: some place on it has no joint position nearby.
        """
        start = compute_base_from_tcp(q_start, limits.flange_from_tcp)
        self._tool = transform_of(limits.flange_from_tcp)
        self._start = transform_of(start)
        self._shift_m = base_from_tcp.position_m - start.position_m
        self._turn_rad = (start.inverse() @ base_from_tcp).as_rotvec()
        self._length_m = max(
            float(np.linalg.norm(self._shift_m)),
            _METRES_PER_RADIAN * float(np.linalg.norm(self._turn_rad)),
        )
        self._limits = limits
        self._point = JointPoint.at_rest(q_start)
        self.is_done = self._length_m < 1e-7
        if not self.is_done:
            self._speed_mps = self._bound_speed(q_start)
            self._otg = ruckig.Ruckig(1, limits.period_s)
            self._out = ruckig.OutputParameter(1)
            self._in = self._make_input()

    def step(self, speed_ratio: float) -> JointPoint:
        """Return the next point."""
        if self.is_done:
            return self._point
        self._in.max_velocity = [self._speed_mps * max(speed_ratio, _LEAST_RATIO)]
        self.is_done = _advance(self._otg, self._in, self._out)
        before = self._point
        q = self._place(before.q, self._out.new_position[0] / self._length_m)
        qd = (q - before.q) / self._limits.period_s
        qdd = (qd - before.qd) / self._limits.period_s
        self._point = JointPoint(q, qd, qdd)
        if self.is_done:
            self._point = JointPoint.at_rest(q)
        return self._point

    def _place(self, q_near: Vector, ratio: float) -> Vector:
        q = q_near.copy()
        left_m, left_rad = follow_line(
            q, self._start, self._shift_m, self._turn_rad, ratio, self._tool
        )
        if not (left_m < _LEFT_M and left_rad < _LEFT_RAD):
            raise TargetUnreachableError(
                f"the line is out of reach at {ratio:.0%} of its length"
            )
        return q

    def _bound_speed(self, q_start: Vector) -> float:
        """Walk the line; return the speed that no joint limit is in the way of."""
        count = max(2, int(np.ceil(self._length_m / _LINE_STEP_M)))
        q, steepest = q_start, 0.0
        for k in range(1, count + 1):
            q_next = self._place(q, k / count)
            steepest = max(steepest, float(np.max(np.abs(q_next - q))))
            q = q_next
        motion = self._limits.motion
        stretch_m = self._length_m / count
        joint_bound = 0.9 * motion.joint_speed_radps * stretch_m / max(steepest, 1e-9)
        return min(motion.linear_speed_mps, joint_bound)

    def _make_input(self) -> "ruckig.InputParameter":
        motion = self._limits.motion
        made = ruckig.InputParameter(1)
        made.current_position = [0.0]
        made.target_position = [self._length_m]
        made.max_velocity = [self._speed_mps]
        made.max_acceleration = [motion.linear_acceleration_mps2]
        made.max_jerk = [motion.linear_jerk_mps3]
        return made


def _advance(
    otg: "ruckig.Ruckig", given: "ruckig.InputParameter", out: "ruckig.OutputParameter"
) -> bool:
    """Step a trajectory by one period; return whether it has ended."""
    try:
        result = otg.update(given, out)
    except ruckig.RuckigError as error:
        raise TargetUnreachableError(f"no trajectory: {error}") from error
    if result < 0:
        raise TargetUnreachableError(f"no trajectory: {result}")
    out.pass_to_input(given)
    return bool(result == ruckig.Result.Finished)


def _joint_input(start: JointPoint, limits: MotionLimits) -> "ruckig.InputParameter":
    motion = limits.motion
    made = ruckig.InputParameter(6)
    made.current_position = start.q.tolist()
    made.current_velocity = start.qd.tolist()
    made.current_acceleration = start.qdd.tolist()
    made.max_velocity = [motion.joint_speed_radps] * 6
    made.max_acceleration = [motion.joint_acceleration_radps2] * 6
    made.max_jerk = [motion.joint_jerk_radps3] * 6
    return made


def _joint_point(out: "ruckig.OutputParameter") -> JointPoint:
    return JointPoint(
        np.array(out.new_position),
        np.array(out.new_velocity),
        np.array(out.new_acceleration),
    )
