"""The commanded position of the arm, advanced once per tick and checked each time."""

from collections import deque
from collections.abc import Callable

from cell.contracts.units import ns_from_s, s_from_ns
from sim2real.virtual_cell.ur.cartesian_motion import UnreachableError
from sim2real.virtual_cell.ur.joint_motion import (
    JointGenerator,
    JointServo,
    StopRamp,
)
from sim2real.virtual_cell.ur.kinematics import JOINT_LIMIT_RAD, Joints

PERIOD_S = 0.002
"""Control period of the controller."""

SPEED_LIMIT_RADPS = 3.3
"""Above it the robot stops itself: the rated 180 deg/s and 5 % for rounding."""

TARGET_WINDOW_S = 0.04
"""Servo targets are timed over this span, so that jitter of a client passes."""

PROGRAM_END_DECELERATION = 25.0
"""Deceleration when a program ends or a watchdog expires [rad/s2]."""

_ZERO: Joints = (0.0,) * 6
_SCALE_PER_TICK = 0.02  # the slider takes 0.1 s from full speed to rest
_RESTING_RADPS = 1e-4
_POSITION_LIMIT_RAD = JOINT_LIMIT_RAD + 0.01


class MotionLimitError(Exception):
    """The commanded motion breaks a limit; the robot answers with a protective stop."""


class TargetWatch:
    """Refuses servo targets that would need more than the joints' speed.

    Timed by the clock and not by ticks: when this process was held up, the targets
    that arrive at once are not the client's fault.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Joints]] = deque()

    def start(self, q: Joints, now_ns: int) -> None:
        """Begin at the present position [rad]."""
        self._seen.clear()
        self._seen.append((now_ns, q))

    def check(self, target: Joints, now_ns: int) -> None:
        """Take the next target.

        Raises:
            MotionLimitError: the target is no number, jumps, or moves too fast.
        """
        seen = self._seen
        window_ns = ns_from_s(TARGET_WINDOW_S)
        while len(seen) > 1 and now_ns - seen[1][0] >= window_ns:
            seen.popleft()
        since_ns, before = seen[0]
        reach = SPEED_LIMIT_RADPS * max(s_from_ns(now_ns - since_ns), TARGET_WINDOW_S)
        gaps = [abs(a - b) for a, b in zip(target, before, strict=True)]
        # Written so that a target that is no number fails as well.
        if not all(gap <= reach for gap in gaps):
            raise MotionLimitError(
                f"servo target moved by {max(gaps):.3f} rad, {reach:.3f} rad allowed"
            )
        seen.append((now_ns, target))


class ArmMotion:
    """Commanded joint position, velocity and acceleration, and what generates them."""

    def __init__(self, q: Joints) -> None:
        self.q = q
        self.qd = _ZERO
        self.qdd = _ZERO
        self.scale = 1.0
        self.speed_fraction = 1.0
        self.is_paused = False
        self._generator: JointGenerator | None = None
        self._next: Callable[[Joints], JointGenerator] | None = None
        self._is_stopping = False
        self._watch = TargetWatch()

    @property
    def is_resting(self) -> bool:
        """Whether nothing is being generated."""
        return self._generator is None

    @property
    def generator(self) -> JointGenerator | None:
        """What moves the arm now."""
        return self._generator

    def reset(self, q: Joints) -> None:
        """Rest at a position [rad] from now on, without a ramp."""
        self.q, self.qd, self.qdd = q, _ZERO, _ZERO
        self._generator = self._next = None

    def start(self, generator: JointGenerator) -> None:
        """Hand the arm to a generator that goes on from the present velocity."""
        self._generator, self._next = generator, None
        self._is_stopping = False

    def start_from_rest(self, make: Callable[[Joints], JointGenerator]) -> None:
        """Ramp to rest, then start the generator made for the position of rest.

        Raises:
            UnreachableError: the generator cannot be made, when the arm rests already.
        """
        if max(map(abs, self.qd)) < _RESTING_RADPS:
            self.start(make(self.q))
            return
        self.stop(PROGRAM_END_DECELERATION)
        self._next = make

    def stop(self, deceleration: float) -> None:
        """Ramp to rest; the fastest joint with `deceleration` [rad/s2]."""
        speed = max(map(abs, self.qd))
        self.stop_within(speed / max(deceleration, 0.1))

    def stop_within(self, duration_s: float) -> None:
        """Ramp to rest in a given time."""
        self._generator = StopRamp(self.q, self.qd, duration_s)
        self._next = None
        # A stop takes its own time, whatever the slider says.
        self._is_stopping = True

    def servo_to(
        self, target: Joints, lookahead_s: float, gain: float, now_ns: int
    ) -> None:
        """Track a joint target [rad] from now on.

        Raises:
            MotionLimitError: the target is no number, jumps, or moves too fast.
        """
        servo = self._generator
        if not isinstance(servo, JointServo):
            rate = 1.0 / self.scale if self.scale > 0.05 else 0.0
            servo = JointServo(self.q, tuple(rate * v for v in self.qd))
            self._watch.start(self.q, now_ns)
            self.start(servo)
        self._watch.check(target, now_ns)
        servo.set_target(target, lookahead_s, gain)

    def step(self) -> None:
        """Advance by one control period.

        Raises:
            MotionLimitError: a joint would leave its range or its speed.
            UnreachableError: a tool path leaves the reach of the arm.
        """
        self._step_scale()
        if self._generator is None:
            if self.qd is not _ZERO:
                self.qd = self.qdd = _ZERO
            return
        dt_s = PERIOD_S if self._is_stopping else PERIOD_S * self.scale
        q = self._generator.step(dt_s)
        qd = tuple((b - a) / PERIOD_S for a, b in zip(self.q, q, strict=True))
        _check_limits(q, qd)
        self.qdd = tuple((b - a) / PERIOD_S for a, b in zip(self.qd, qd, strict=True))
        self.q, self.qd = q, qd
        if self._generator.is_done:
            following, self._generator, self._next = self._next, None, None
            self._is_stopping = False
            if following is not None:
                self.start(following(self.q))

    def _step_scale(self) -> None:
        wanted = 0.0 if self.is_paused else self.speed_fraction
        if self.scale != wanted:
            change = wanted - self.scale
            self.scale += min(_SCALE_PER_TICK, max(-_SCALE_PER_TICK, change))


def _check_limits(q: Joints, qd: Joints) -> None:
    if not all(-SPEED_LIMIT_RADPS <= rate <= SPEED_LIMIT_RADPS for rate in qd):
        speed = max(map(abs, qd))
        raise MotionLimitError(f"joint speed of {speed:.2f} rad/s commanded")
    if not all(-_POSITION_LIMIT_RAD <= angle <= _POSITION_LIMIT_RAD for angle in q):
        reach = max(map(abs, q))
        raise MotionLimitError(f"joint position of {reach:.2f} rad commanded")


MOTION_FAULTS = (MotionLimitError, UnreachableError, ArithmeticError, ValueError)
"""What a protective stop answers; the last two come from impossible arguments."""
