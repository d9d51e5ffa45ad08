"""A servo process without an arm: follows orders under a fake clock."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import (
    ORDERED_HOLDS,
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import ns_from_s, s_from_ns
from cell.kinematics.arm import compute_base_from_tcp
from cell.kinematics.inverse import solve_ik
from tests.fakes.clock import FakeClock

FRESHNESS_S = 0.1
_JOINT_RADPS = 2.0
_LINE_MPS = 0.4
_ARMING_S = 0.6
_LEAST_FRACTION = 0.01


RESTING_SERVO = ServoState(
    stamp_ns=0,
    cycle=1,
    phase=ServoPhase.READY,
    hold_reason=HoldReason.NONE,
    hold_count=0,
    hold_counts=np.zeros(len(HoldReason)),
    command_id=1,
    reached_id=1,
    arm_id=1,
    chunk_id=0,
    chunk_s=0.0,
    q=np.zeros(6),
    qd=np.zeros(6),
    q_command=np.zeros(6),
    base_from_tcp=Pose.identity(),
    force_tcp_n=np.zeros(6),
    robot_mode=RobotMode.RUNNING,
    safety_status_bits=1 << SafetyBit.NORMAL,
    speed_fraction=1.0,
    arm_age_s=0.0,
    armed_cycles=1,
    late_cycles=0,
    unguarded_cycles=0,
    guard_p50_us=0.0,
    guard_p999_us=0.0,
    scheduler=0,
    period_s=0.002,
)
"""A state of the servo process in which nothing is wrong."""


class FakeServo:
    """Both mailboxes and the process behind them.

    Attributes:
        is_dead: it neither reads nor publishes.
        is_unlinked: it has no connection to the robot.
        latch: why it waits for a release, NONE while it is armed.
        trouble: makes every release fail.
        refusals: reasons with which the next orders to move are refused.
        safety_bits: as the robot reports them.
        robot_mode: as the robot reports it.
        orders: every new order, in order.
        travelled_rad: sum of the joint travel so far.
        speed_fraction: the robot's speed slider.
        read_pull_n: returns what hangs at the tool [N].
        kept_at: where something keeps the joints until the target lies there, None for
            nothing.
        feel_n: what the tool feels by that, at a time [ns].
    """

    def __init__(self, clock: FakeClock, q: Vector, flange_from_tcp: Pose) -> None:
        self.is_dead = False
        self.latch = HoldReason.NOT_ARMED
        self.trouble = HoldReason.NONE
        self.refusals: list[HoldReason] = []
        self.safety_bits = 1 << SafetyBit.NORMAL
        self.robot_mode = RobotMode.RUNNING
        self.orders: list[ServoCommand] = []
        self.travelled_rad = 0.0
        self.speed_fraction = 1.0
        self.read_pull_n: Callable[[], float] = lambda: 0.0
        self.kept_at: Vector | None = None
        self.feel_n: Callable[[int], float] = lambda now_ns: 300.0
        self.q = np.array(q, dtype=np.float64)
        self._clock = clock
        self._tool = flange_from_tcp
        self._command: ServoCommand | None = None
        self._arm_id = 0
        self._armed_ns = 0
        self._reached_id = 0
        self._seen_id = 0
        self._q_start = self.q
        self._q_target = self.q
        self._duration_s = 0.0
        self._done_ratio = 1.0
        self._hold = HoldReason.NOT_ARMED
        self._hold_count = 0
        self._updated_ns = self._started_ns = clock.now_ns()
        self.is_unlinked = False
        self._is_moving = False
        self._state: ServoState | None = None

    def write_command(self, command: ServoCommand) -> None:
        """Take an order, or the same one with a new stamp."""
        self._advance()
        self._command = command

    def read_command(self) -> ServoCommand | None:
        """Return the newest order."""
        return self._command

    def read_state(self) -> ServoState | None:
        """Return the newest state."""
        self._advance()
        return self._state

    def base_from_tcp(self) -> Pose:
        """Return the tool pose."""
        return compute_base_from_tcp(self.q, self._tool)

    def left_s(self) -> float:
        """Return what is left of the present motion at full speed [s]."""
        return (1.0 - self._done_ratio) * self._duration_s

    def fault(self, reason: HoldReason) -> None:
        """Latch, as after trouble with the robot or its link."""
        self._advance()
        self.latch = reason

    def _feel(self, now_ns: int) -> Vector:
        kept_n = 0.0 if self.kept_at is None else self.feel_n(now_ns)
        return np.array([0.0, 0.0, kept_n - self.read_pull_n(), 0.0, 0.0, 0.0])

    def stop_short(self, reason: HoldReason, kept_at: Vector) -> None:
        """Refuse what is under way, for something keeps the joints elsewhere."""
        self._advance()
        self._hold, self.kept_at = reason, kept_at
        self._q_target, self._done_ratio = self.q, 1.0
        self._state = self._make_state(self._clock.now_ns())

    def unstart(self) -> None:
        """Be a process that has not said anything yet; `restart` starts it."""
        self.is_dead = True
        self._state = None

    def restart(self) -> None:
        """Come back as a new process: inhibited, with old releases void."""
        self.is_dead = False
        self.latch = HoldReason.NOT_ARMED
        self._arm_id = 0 if self._command is None else self._command.arm_id
        self._done_ratio, self._seen_id, self._reached_id = 1.0, 0, 0
        self._updated_ns = self._started_ns = self._clock.now_ns()

    def _advance(self) -> None:
        now_ns = self._clock.now_ns()
        elapsed_s = s_from_ns(now_ns - self._updated_ns)
        self._updated_ns = now_ns
        self._is_moving = False
        if self.is_dead:
            return
        self._arm_when_released(now_ns)
        if self.latch is HoldReason.NONE and self._command is not None:
            self._follow(self._command, elapsed_s, now_ns)
        else:
            self._hold, self._done_ratio = self.latch, 1.0
            self._q_target = self.q
        self._state = self._make_state(now_ns)

    def _arm_when_released(self, now_ns: int) -> None:
        command = self._command
        if command is None or command.arm_id <= self._arm_id or self.is_unlinked:
            return
        if self.latch is HoldReason.NONE or not self._is_fresh(command, now_ns):
            return
        if self._armed_ns == 0:
            self._armed_ns = now_ns + ns_from_s(_ARMING_S)
        if now_ns < self._armed_ns:
            return
        self._armed_ns = 0
        self._arm_id = command.arm_id
        self._seen_id = command.command_id
        self.latch = self.trouble
        self._q_target, self._done_ratio = self.q, 1.0

    def _follow(self, command: ServoCommand, elapsed_s: float, now_ns: int) -> None:
        if not self._is_fresh(command, now_ns):
            self._hold = HoldReason.COMMAND_STALE
            return
        if self._hold in (HoldReason.COMMAND_STALE, HoldReason.SPEED_ZERO):
            self._hold = HoldReason.NONE
        if command.command_id > self._seen_id:
            self._take(command)
        elif self.speed_fraction < _LEAST_FRACTION and self._done_ratio < 1.0:
            self._hold = HoldReason.SPEED_ZERO
        elif self._hold is HoldReason.NONE and self._done_ratio < 1.0:
            self._step(command, elapsed_s)
        if self._hold is HoldReason.NONE and self._done_ratio >= 1.0:
            self._reached_id = self._seen_id

    def _take(self, command: ServoCommand) -> None:
        self._seen_id = command.command_id
        self.orders.append(replace(command))
        self._q_start, self._q_target = self.q, self.q
        self._hold, self._done_ratio = HoldReason.NONE, 1.0
        if command.mode not in (MotionMode.MOVE_JOINT, MotionMode.MOVE_LINEAR):
            return
        if self.refusals:
            self._hold = self.refusals.pop(0)
            self._hold_count += self._hold not in ORDERED_HOLDS
            return
        target = command.q_target
        distance = np.max(np.abs(target - self.q)) / _JOINT_RADPS
        if command.mode is MotionMode.MOVE_LINEAR:
            solved = solve_ik(command.base_from_tcp, self._tool, self.q)
            if solved is None:
                self._hold = HoldReason.UNREACHABLE
                return
            target = solved
            way_m = command.base_from_tcp.position_m - self.base_from_tcp().position_m
            distance = np.linalg.norm(way_m) / _LINE_MPS
        self._q_target = np.array(target)
        self._duration_s = float(distance) + 0.1
        self._done_ratio = 0.0

    def _step(self, command: ServoCommand, elapsed_s: float) -> None:
        before = self.q
        ratio = min(command.speed_ratio, self.speed_fraction)
        step = ratio * elapsed_s / self._duration_s
        self._done_ratio = min(1.0, self._done_ratio + step)
        self.q = self._q_start + self._done_ratio * (self._q_target - self._q_start)
        self.travelled_rad += float(np.max(np.abs(self.q - before)))
        self._is_moving = self._done_ratio < 1.0
        is_free = self.kept_at is not None and np.allclose(
            self.q, self.kept_at, rtol=0.0, atol=1e-3
        )
        if is_free:
            self.kept_at = None

    def _is_fresh(self, command: ServoCommand, now_ns: int) -> bool:
        return now_ns - command.stamp_ns <= ns_from_s(FRESHNESS_S)

    def _phase(self) -> ServoPhase:
        if self.is_unlinked:
            return ServoPhase.CONNECTING
        if self.latch is HoldReason.NONE:
            return ServoPhase.MOVING if self._is_moving else ServoPhase.READY
        return ServoPhase.FAULT

    def _make_state(self, now_ns: int) -> ServoState:
        return ServoState(
            stamp_ns=now_ns,
            cycle=(now_ns - self._started_ns) // 2_000_000,
            phase=self._phase(),
            hold_reason=self._hold,
            hold_count=self._hold_count,
            hold_counts=np.zeros(len(HoldReason)),
            command_id=self._seen_id,
            reached_id=self._reached_id,
            arm_id=self._arm_id,
            chunk_id=0,
            chunk_s=0.0,
            q=(self.q if self.kept_at is None else self.kept_at).copy(),
            qd=np.full(6, 0.5 if self._is_moving else 0.0),
            q_command=self.q.copy(),
            base_from_tcp=self.base_from_tcp(),
            force_tcp_n=self._feel(now_ns),
            robot_mode=self.robot_mode,
            safety_status_bits=self.safety_bits,
            speed_fraction=self.speed_fraction,
            arm_age_s=0.002,
            armed_cycles=1,
            late_cycles=0,
            unguarded_cycles=0,
            guard_p50_us=10.0,
            guard_p999_us=20.0,
            scheduler=2,
            period_s=0.002,
        )
