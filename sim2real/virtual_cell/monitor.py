"""An independent witness of the limits. It shares no code with the guard on purpose.

It looks at what the arm does (measured by the physics) and at what the controller asks
of it, on every tick, and counts each violation once, at its onset. Its limits are those
of the configuration's `safety` section plus what a measured signal needs:

- joint position 0.005 rad, the servo's own following error;
- joint speed 3 % + 0.03 rad/s, ripple of a stiff servo; the speed asked for is taken
  over 40 ms, for the stamps of single targets jitter;
- TCP speed 3 % + 0.02 m/s;
- acceleration twice the limit, of the measured speed over 20 ms: a brake or a stop of
  the robot itself may be harder than any motion the product may ask for;
- workspace 2 mm;
- contact with a fixture 60 N, filtered over 10 ms, summed over arm and gripper: a
  fingertip that brushes a wall stays below, a blow or a push does not;
- contact of anything but the fingers with a fixture 1 N, filtered alike: arm links,
  wrist camera and gripper body have nothing to look for there;
- contact between links 5 N, filtered alike.

What is no number breaks a limit too: it must not slip through as one that compares as
neither below nor above. So does a physics that diverged, since nobody knows what the
arm would have done.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from safety.config import SafetyConfig

JOINT_POSITION_MARGIN_RAD: Final = 0.005
JOINT_SPEED_MARGIN_RATIO: Final = 0.03
JOINT_SPEED_MARGIN_RADPS: Final = 0.03
ACCELERATION_FACTOR: Final = 2.0
ACCELERATION_WINDOW_TICKS: Final = 10
TCP_SPEED_MARGIN_RATIO: Final = 0.03
TCP_SPEED_MARGIN_MPS: Final = 0.02
WORKSPACE_MARGIN_M: Final = 0.002
FIXTURE_FORCE_N: Final = 60.0
BODY_FORCE_N: Final = 1.0
SELF_FORCE_N: Final = 5.0
TARGET_WINDOW_S: Final = 0.04
# A controller that was away this long starts anew.
_TARGET_GAP_S: Final = 0.2
# A violation that flickers for less than this counts once.
_CLEAR_TICKS: Final = 50
_TICK_S: Final = 0.002


class ViolationKind(StrEnum):
    """What was violated."""

    JOINT_POSITION = "joint_position"
    JOINT_SPEED = "joint_speed"
    JOINT_SPEED_TARGET = "joint_speed_target"
    JOINT_ACCELERATION = "joint_acceleration"
    TCP_SPEED = "tcp_speed"
    WORKSPACE = "workspace"
    FIXTURE_COLLISION = "fixture_collision"
    BODY_COLLISION = "body_collision"
    SELF_COLLISION = "self_collision"
    NOT_FINITE = "not_finite"
    DIVERGED = "diverged"


@dataclass(frozen=True, eq=False)
class MonitorSample:
    """What the monitor looks at in one tick.

    Attributes:
        tick: count of physics steps.
        q: measured joint positions, shape (6,) [rad].
        qd: measured joint velocities, shape (6,) [rad/s].
        q_target: newest joint target of the controller, shape (6,) [rad]; None when
            there is none.
        target_stamp_ns: its monotonic stamp.
        tcp_position_m: tool centre point in base, shape (3,).
        tcp_speed_mps: its speed.
        fixture_force_n: filtered force between arm or gripper and fixtures.
        fixture: name of the fixture.
        self_force_n: filtered force between links.
        body_force_n: of the force on fixtures, what the fingers have no part in.
        body: what touches there.
    """

    tick: int
    q: Vector
    qd: Vector
    q_target: Vector | None
    target_stamp_ns: int
    tcp_position_m: Vector
    tcp_speed_mps: float
    fixture_force_n: float
    fixture: str
    self_force_n: float
    body_force_n: float = 0.0
    body: str = ""


@dataclass(frozen=True)
class Violation:
    """The onset of one violation.

    Attributes:
        kind: see `ViolationKind`.
        tick: when.
        value: how much, in the unit of the limit.
        detail: joint number, axis or fixture.
    """

    kind: ViolationKind
    tick: int
    value: float
    detail: str


class Monitor:
    """Checks every tick against the limits and remembers what it saw.

    Attributes:
        count: onsets of all kinds since start.
        counts: the same per kind.
        last: newest violation.
        peaks: largest filtered forces on fixtures so far: of everything, and of what is
            no finger, each with where it was.
    """

    def __init__(self, limits: SafetyConfig) -> None:
        margin = JOINT_POSITION_MARGIN_RAD
        self._q_min = np.array(limits.joint_min_rad) - margin
        self._q_max = np.array(limits.joint_max_rad) + margin
        speed = np.array(limits.joint_speed_radps)
        self._speed = speed * (1 + JOINT_SPEED_MARGIN_RATIO) + JOINT_SPEED_MARGIN_RADPS
        self._acceleration = ACCELERATION_FACTOR * np.array(
            limits.joint_acceleration_radps2
        )
        self._tcp_speed = (
            limits.tcp_speed_mps * (1 + TCP_SPEED_MARGIN_RATIO) + TCP_SPEED_MARGIN_MPS
        )
        self._low = np.array(limits.workspace_min_m) - WORKSPACE_MARGIN_M
        self._high = np.array(limits.workspace_max_m) + WORKSPACE_MARGIN_M
        self._history = np.zeros((ACCELERATION_WINDOW_TICKS, 6))
        self._samples = 0
        self._target: tuple[Vector, int] | None = None
        self._quiet_since: dict[ViolationKind, int] = {}
        self.count = 0
        self.counts = dict.fromkeys(ViolationKind, 0)
        self.last: Violation | None = None
        self.peaks: dict[str, tuple[float, str]] = {}

    def check(self, sample: MonitorSample) -> list[Violation]:
        """Look at one tick.

        Returns:
            Violations that began with it.
        """
        broken = _find_not_finite(sample)
        if broken is not None:
            # Nothing of it can be compared, nor may it enter what later ticks look at.
            return [broken] if self._is_onset(broken) else []
        self._note_peak("fixture", sample.fixture_force_n, sample.fixture)
        self._note_peak("body", sample.body_force_n, sample.body)
        found = [
            *self._check_joints(sample),
            *self._check_target(sample),
            *self._check_tool(sample),
            *self._check_contacts(sample),
        ]
        return [violation for violation in found if self._is_onset(violation)]

    def note_divergence(self, tick: int) -> Violation:
        """Count that the physics has no state of its own any more."""
        violation = Violation(ViolationKind.DIVERGED, tick, 0.0, "physics")
        self._is_onset(violation)
        return violation

    def _check_joints(self, sample: MonitorSample) -> list[Violation]:
        found = []
        tick, q, qd = sample.tick, sample.q, sample.qd
        outside = np.maximum(self._q_min - q, q - self._q_max)
        if outside.max() > 0:
            joint = int(outside.argmax())
            found.append(_of(ViolationKind.JOINT_POSITION, tick, q[joint], joint))
        excess = np.abs(qd) - self._speed
        if excess.max() > 0:
            joint = int(excess.argmax())
            found.append(_of(ViolationKind.JOINT_SPEED, tick, qd[joint], joint))
        slot = self._samples % ACCELERATION_WINDOW_TICKS
        if self._samples >= ACCELERATION_WINDOW_TICKS:
            window_s = ACCELERATION_WINDOW_TICKS * _TICK_S
            qdd = (qd - self._history[slot]) / window_s
            excess = np.abs(qdd) - self._acceleration
            if excess.max() > 0:
                joint = int(excess.argmax())
                kind = ViolationKind.JOINT_ACCELERATION
                found.append(_of(kind, tick, qdd[joint], joint))
        self._history[slot] = qd
        self._samples += 1
        return found

    def _check_target(self, sample: MonitorSample) -> list[Violation]:
        if sample.q_target is None:
            return []
        now = (sample.q_target, sample.target_stamp_ns)
        before = self._target or now
        span_s = (now[1] - before[1]) / 1e9
        if 0 <= span_s < TARGET_WINDOW_S:
            self._target = before
            return []
        self._target = now
        if not 0 < span_s < _TARGET_GAP_S:
            return []
        speed = np.abs(now[0] - before[0]) / span_s
        excess = speed - self._speed
        if excess.max() <= 0:
            return []
        joint = int(excess.argmax())
        kind = ViolationKind.JOINT_SPEED_TARGET
        return [_of(kind, sample.tick, speed[joint], joint)]

    def _check_tool(self, sample: MonitorSample) -> list[Violation]:
        found = []
        if sample.tcp_speed_mps > self._tcp_speed:
            kind = ViolationKind.TCP_SPEED
            found.append(Violation(kind, sample.tick, sample.tcp_speed_mps, "tcp"))
        position = sample.tcp_position_m
        outside = np.maximum(self._low - position, position - self._high)
        if outside.max() > 0:
            axis = int(outside.argmax())
            kind = ViolationKind.WORKSPACE
            value = float(position[axis])
            found.append(Violation(kind, sample.tick, value, "xyz"[axis]))
        return found

    def _check_contacts(self, sample: MonitorSample) -> list[Violation]:
        found = []
        if sample.fixture_force_n > FIXTURE_FORCE_N:
            kind, value = ViolationKind.FIXTURE_COLLISION, sample.fixture_force_n
            found.append(Violation(kind, sample.tick, value, sample.fixture))
        if sample.body_force_n > BODY_FORCE_N:
            kind, value = ViolationKind.BODY_COLLISION, sample.body_force_n
            found.append(Violation(kind, sample.tick, value, sample.body))
        if sample.self_force_n > SELF_FORCE_N:
            kind, value = ViolationKind.SELF_COLLISION, sample.self_force_n
            found.append(Violation(kind, sample.tick, value, "links"))
        return found

    def _note_peak(self, name: str, force_n: float, where: str) -> None:
        # Where nothing touches any more, the filter only remembers.
        if where and force_n > self.peaks.get(name, (0.0, ""))[0]:
            self.peaks[name] = (force_n, where)

    def _is_onset(self, violation: Violation) -> bool:
        last_tick = self._quiet_since.get(violation.kind)
        self._quiet_since[violation.kind] = violation.tick
        if last_tick is not None and violation.tick - last_tick <= _CLEAR_TICKS:
            return False
        self.count += 1
        self.counts[violation.kind] += 1
        self.last = violation
        return True


def _find_not_finite(sample: MonitorSample) -> Violation | None:
    target = sample.q if sample.q_target is None else sample.q_target
    values: dict[str, Iterable[float]] = {
        "q": sample.q,
        "qd": sample.qd,
        "q_target": target,
        "tcp": sample.tcp_position_m,
        "speed": (sample.tcp_speed_mps,),
        "force": (sample.fixture_force_n, sample.body_force_n, sample.self_force_n),
    }
    for name, numbers in values.items():
        # The sum of finite numbers of this size is finite, and one test is cheap.
        if not math.isfinite(sum(numbers)):
            return Violation(ViolationKind.NOT_FINITE, sample.tick, 0.0, name)
    return None


def _of(kind: ViolationKind, tick: int, value: float, joint: int) -> Violation:
    return Violation(kind, tick, float(value), f"joint {joint}")
