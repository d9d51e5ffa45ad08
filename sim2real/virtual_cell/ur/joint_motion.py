"""Generators of joint motion: moves, stops, servoing and speeding.

A generator owns the path and its own notion of time. `ArmMotion` decides how much of
that time passes in a tick, which is how the speed slider and a pause work.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from sim2real.virtual_cell.ur.kinematics import Joints

SERVO_ACCELERATION_RADPS2 = 50.0
"""Bound on what the servo filter asks of a joint; far above any smooth target."""

RATED_SPEED_RADPS = math.pi
"""Fastest that the servo filter moves a joint."""

_REFERENCE_GAIN = 1000.0


class JointGenerator(Protocol):
    """A source of joint positions."""

    @property
    def is_done(self) -> bool:
        """Whether the motion has come to its end."""
        ...

    def step(self, dt_s: float) -> Joints:
        """Let `dt_s` of the motion's own time pass and return the position [rad]."""
        ...


class Trapezoid:
    """Speed profile along a path of a given length, at rest at both ends.

    Args:
        length: length of the path, in any unit.
        speed: cruising speed [unit/s].
        acceleration: of both ramps [unit/s2].
    """

    def __init__(self, length: float, speed: float, acceleration: float) -> None:
        self._length = length
        self._acceleration = max(acceleration, 1e-3)
        peak = min(max(speed, 1e-4), math.sqrt(length * self._acceleration))
        self._ramp_s = peak / self._acceleration
        self._peak = peak
        cruise = length - peak * self._ramp_s
        self.duration_s = 2.0 * self._ramp_s + (cruise / peak if peak > 0.0 else 0.0)

    def compute_ratio(self, time_s: float) -> float:
        """Return the covered share of the path, 0..1, at a time since the start."""
        if time_s >= self.duration_s or self._length <= 0.0:
            return 1.0
        left_s = self.duration_s - time_s
        if time_s < self._ramp_s:
            covered = 0.5 * self._acceleration * time_s * time_s
        elif left_s < self._ramp_s:
            covered = self._length - 0.5 * self._acceleration * left_s * left_s
        else:
            covered = self._peak * (time_s - 0.5 * self._ramp_s)
        return covered / self._length


class JointMove:
    """A straight line in joint space; all joints start and stop together."""

    def __init__(
        self, start: Joints, goal: Joints, speed_radps: float, acceleration: float
    ) -> None:
        self._start = start
        self._goal = goal
        self._delta = tuple(b - a for a, b in zip(start, goal, strict=True))
        self._profile = Trapezoid(
            max(abs(d) for d in self._delta), speed_radps, acceleration
        )
        self._time_s = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the goal is reached."""
        return self._time_s >= self._profile.duration_s

    def step(self, dt_s: float) -> Joints:
        """Advance along the line."""
        self._time_s += dt_s
        if self.is_done:
            return self._goal
        ratio = self._profile.compute_ratio(self._time_s)
        return tuple(
            a + ratio * d for a, d in zip(self._start, self._delta, strict=True)
        )


class StopRamp:
    """Ramps a velocity to zero, all joints together.

    Args:
        q: position at the start [rad].
        qd: velocity at the start [rad/s].
        duration_s: time until rest.
    """

    def __init__(self, q: Joints, qd: Joints, duration_s: float) -> None:
        self._start = q
        self._rate = qd
        self._duration_s = duration_s
        self._time_s = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the arm rests."""
        return self._time_s >= self._duration_s

    def step(self, dt_s: float) -> Joints:
        """Advance the ramp."""
        self._time_s = min(self._duration_s, self._time_s + dt_s)
        if self._duration_s <= 0.0:
            return self._start
        t = self._time_s
        travel_s = t - t * t / (2.0 * self._duration_s)
        return tuple(
            a + travel_s * v for a, v in zip(self._start, self._rate, strict=True)
        )


class JointServo:
    """Tracks a target that is set again and again, like `servoj` in a loop.

    A critically damped filter per joint: a target that moves at constant speed is
    followed with a lag of `lookahead_s` (at gain 1000; softer gains lag more), a
    target that stands still is reached without overshoot.
    """

    def __init__(self, q: Joints, qd: Joints) -> None:
        self._q = list(q)
        self._qd = list(qd)
        self._target = q
        self._omega = 20.0

    @property
    def is_done(self) -> bool:
        """Never: the target is held until the servo is stopped."""
        return False

    def set_target(self, target: Joints, lookahead_s: float, gain: float) -> None:
        """Set the position to track [rad] and the stiffness of the tracking."""
        self._target = target
        stiffness = math.sqrt(max(gain, 1.0) / _REFERENCE_GAIN)
        self._omega = 2.0 / max(lookahead_s, 0.01) * min(1.2, max(0.3, stiffness))

    def step(self, dt_s: float) -> Joints:
        """Advance the filter."""
        if dt_s <= 0.0:
            return tuple(self._q)
        decay = math.exp(-self._omega * dt_s)
        for joint, goal in enumerate(self._target):
            self._step_joint(joint, goal, decay, dt_s)
        return tuple(self._q)

    def _step_joint(self, joint: int, goal: float, decay: float, dt_s: float) -> None:
        omega, rate = self._omega, self._qd[joint]
        offset = self._q[joint] - goal
        # Exact solution of the critically damped filter over one tick.
        slope = rate + omega * offset
        wanted = (slope - omega * (offset + slope * dt_s)) * decay
        brake = min(RATED_SPEED_RADPS, self._compute_approach(abs(offset)))
        if offset > 0.0:
            wanted = max(wanted, -brake)
        elif offset < 0.0:
            wanted = min(wanted, brake)
        reach = SERVO_ACCELERATION_RADPS2 * dt_s
        limited = min(rate + reach, max(rate - reach, wanted))
        if limited == wanted and abs(wanted) < brake:
            self._q[joint] = goal + (offset + slope * dt_s) * decay
        else:
            self._q[joint] += 0.5 * (rate + limited) * dt_s
        self._qd[joint] = limited

    def _compute_approach(self, distance: float) -> float:
        """Return the speed from which the target is still reached without overshoot.

        Far away that is what the acceleration can brake, close by the filter's own
        asymptote; a tenth of the acceleration is kept for the discrete steps.
        """
        acceleration = 0.9 * SERVO_ACCELERATION_RADPS2
        near = acceleration / (self._omega * self._omega)
        if distance <= near:
            return self._omega * distance
        return math.sqrt(2.0 * acceleration * (distance - 0.5 * near))


class JointSpeed:
    """Ramps to a joint velocity and keeps it, like `speedj` in a loop."""

    def __init__(self, q: Joints, qd: Joints) -> None:
        self._q = q
        self._qd = qd
        self._target = qd
        self._acceleration = 0.5

    @property
    def is_done(self) -> bool:
        """Never: the velocity is kept until it is stopped."""
        return False

    def set_target(self, qd: Sequence[float], acceleration: float) -> None:
        """Set the velocity [rad/s] and the ramp of the leading joint [rad/s2]."""
        self._target = tuple(qd)
        self._acceleration = max(acceleration, 1e-3)

    def step(self, dt_s: float) -> Joints:
        """Advance ramp and position."""
        gap = max(abs(b - a) for a, b in zip(self._qd, self._target, strict=True))
        share = 1.0 if gap == 0.0 else min(1.0, self._acceleration * dt_s / gap)
        rate = tuple(
            a + share * (b - a) for a, b in zip(self._qd, self._target, strict=True)
        )
        self._q = tuple(
            q + 0.5 * dt_s * (a + b)
            for q, a, b in zip(self._q, self._qd, rate, strict=True)
        )
        self._qd = rate
        return self._q


class PathMove:
    """Moves one after another; each comes to rest before the next starts.

    Blend radii are accepted by the caller and run as exact stops: slower than the
    robot, never outside its path.

    Args:
        start: position at the start [rad].
        legs: one factory per leg, called with the position where the leg begins.
    """

    def __init__(
        self, start: Joints, legs: Sequence[Callable[[Joints], JointGenerator]]
    ) -> None:
        self._q = start
        self._legs = legs
        self.leg_index = 0
        self._leg = legs[0](start) if legs else None

    @property
    def is_done(self) -> bool:
        """Whether the last leg has ended."""
        return self._leg is None

    def step(self, dt_s: float) -> Joints:
        """Advance the present leg; the next one starts in the next tick."""
        if self._leg is None:
            return self._q
        self._q = self._leg.step(dt_s)
        if self._leg.is_done:
            self.leg_index += 1
            more = self.leg_index < len(self._legs)
            self._leg = self._legs[self.leg_index](self._q) if more else None
        return self._q
