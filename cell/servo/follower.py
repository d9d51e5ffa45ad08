"""Follows the newest order: interpolator or projection, then guard, once per cycle.

An order that breaks a limit is refused for good; the next one has a new number. An
order that merely went stale goes on when it is fresh again.
"""

import math
from typing import Final

import numpy as np

from cell.contracts.errors import ChunkSeamError, TargetUnreachableError
from cell.contracts.geometry import Vector
from cell.contracts.robot import ArmState
from cell.contracts.runtime import (
    PlanRefusal,
    RequestGuard,
    SafeActionSource,
    Verdict,
)
from cell.contracts.servo import (
    ORDERED_HOLDS,
    RESTING_MODES,
    TIMING_HOLDS,
    WITHHELD_NS,
    HoldReason,
    MotionMode,
    ServoCommand,
)
from cell.servo.interpolator import Interpolator

TRACKING_LIMIT_RAD: Final = 0.4
"""Distance of a joint from its setpoint that no lag of a healthy robot explains."""

LEAST_RATIO: Final = 0.01
"""A slider below this stops the arm: `servoj` is not scaled by the robot."""

# The supervisor may stamp an order just after our cycle took its time.
_FUTURE_NS = 10_000_000
_SETTLED_RAD = 0.005
# Steps in which the guard's wish for less speed is met.
_SCALE_STEPS = 5
_SCALE_CYCLES = 50
# Loaded joints may come to rest a little beside their target; more than that is a
# joint that something keeps from its place, and no arrival.
_SAGGING_RAD = 0.02
_SETTLED_CYCLES = 150

_MOVING = frozenset(MotionMode) - RESTING_MODES
_STREAMED = frozenset({MotionMode.INCREMENT, MotionMode.TRACK})
"""Modes in which every writing of the order may say something new."""
_PASSING = TIMING_HOLDS | ORDERED_HOLDS | {HoldReason.NONE}
"""Verdicts after which the same order may go on."""


class CommandFollower:
    """One arm's motion between two releases.

    Attributes:
        command_id: newest order seen.
        reached_id: newest order completed.
        q_command: last vetted setpoint, shape (6,) [rad].
        is_at_rest: whether the setpoints stand still.
        plan_refusal: why a hold may not be carried out any more, None while it may.
    """

    def __init__(
        self,
        guard: RequestGuard,
        interpolator: Interpolator,
        fallback: SafeActionSource,
        freshness_ns: int,
        period_s: float,
    ) -> None:
        self.command_id = 0
        self.reached_id = 0
        self.q_command = np.zeros(6)
        self.is_at_rest = True
        self.plan_refusal: PlanRefusal | None = None
        self._guard = guard
        self._interpolator = interpolator
        self._fallback = fallback
        self._freshness_ns = freshness_ns
        self._period_s = period_s
        self._order: ServoCommand | None = None
        self._refusal = HoldReason.NONE
        self._ramp_id: int | None = None
        self._qd = np.zeros(6)
        self._scale = 1.0
        self._cycles_to_faster = 0
        self._cycles_since_done = 0

    def restart(self, q_measured: Vector, command: ServoCommand) -> None:
        """Rest at the measured position; orders up to `command` are void."""
        self._guard.reset(q_measured)
        self._interpolator.reset(q_measured)
        self._fallback.reset(q_measured)
        self.plan_refusal = None
        self.q_command = q_measured.copy()
        self._qd = np.zeros(6)
        self.is_at_rest = True
        self.command_id = max(self.command_id, command.command_id)
        self._order = None
        self._refusal = HoldReason.NONE
        self._ramp_id = None

    def read_chunk(self) -> tuple[int, float]:
        """Return which chunk is being consumed, and how much of it [s]; 0 for none."""
        return self._interpolator.read_chunk()

    def is_busy(self) -> bool:
        """Say whether an order is under way."""
        return not self.is_at_rest or (
            self._order is not None
            and self._refusal is HoldReason.NONE
            and self.reached_id < self.command_id
        )

    def follow(
        self, command: ServoCommand | None, sample: ArmState, now_ns: int
    ) -> Verdict:
        """Return the guard's verdict for this cycle.

        Its setpoint is to be sent, unless `plan_refusal` says that it may not.
        """
        if command is None:
            return self.brake(HoldReason.NO_COMMAND, sample, now_ns)
        if command.command_id < self.command_id:
            # Its stamp says nothing of the order under way.
            return self.brake(HoldReason.COMMAND_STALE, sample, now_ns)
        if command.command_id > self.command_id:
            self._take(command)
        verdict = self._accept(self._ask(command, sample, now_ns), sample, now_ns)
        if verdict.reason is HoldReason.NONE:
            self._note_arrival(sample)
        return verdict

    def brake(self, reason: HoldReason, sample: ArmState, now_ns: int) -> Verdict:
        """Ramp to rest for a cause outside of any order; see `follow`."""
        return self._accept(self._guard.hold(reason, now_ns), sample, now_ns)

    def _take(self, command: ServoCommand) -> None:
        self.command_id = command.command_id
        self._order = command
        self._cycles_since_done = 0
        self._refusal = find_flaw(command)
        self._guard.attach(command.part_radius_m, command.part_length_m)
        if self._refusal is HoldReason.NONE:
            self._interpolator.order(command)
        else:
            self._interpolator.cancel()

    def _ask(self, command: ServoCommand, sample: ArmState, now_ns: int) -> Verdict:
        gap = float(np.max(np.abs(sample.q - self.q_command)))
        if not gap < TRACKING_LIMIT_RAD:
            return self._guard.hold(HoldReason.TRACKING_ERROR, now_ns)
        if command.stamp_ns <= WITHHELD_NS:
            return self._guard.hold(HoldReason.COMMAND_WITHHELD, now_ns)
        if command.mode is MotionMode.BRAKE and not self.is_at_rest:
            return self._guard.hold(HoldReason.BRAKE_ORDERED, now_ns)
        if self._refusal is not HoldReason.NONE:
            return self._guard.hold(self._refusal, now_ns)
        # Written so that a slider that is no number counts as zero.
        if command.mode in _MOVING and not sample.speed_fraction >= LEAST_RATIO:
            return self._guard.hold(HoldReason.SPEED_ZERO, now_ns)
        q_request = self.q_command
        is_fresh = -_FUTURE_NS <= now_ns - command.stamp_ns <= self._freshness_ns
        if is_fresh and not self._is_ramping():
            ratio = self._compute_ratio(command, sample)
            # An order that a release has voided is not carried out by any way.
            if command.mode in _STREAMED and self._order is not None:
                return self._project(command, ratio, sample, now_ns)
            try:
                q_request = self._interpolator.step(ratio)
            except ChunkSeamError:
                return self._refuse(HoldReason.CHUNK_SEAM, now_ns)
            except TargetUnreachableError:
                return self._refuse(HoldReason.UNREACHABLE, now_ns)
        return self._guard.vet(
            q_request, command.stamp_ns, sample.stamp_ns, now_ns, sample.force_tcp_n
        )

    def _refuse(self, reason: HoldReason, now_ns: int) -> Verdict:
        self._refusal = reason
        return self._guard.hold(reason, now_ns)

    def _project(
        self, command: ServoCommand, ratio: float, sample: ArmState, now_ns: int
    ) -> Verdict:
        """Have one cycle of an action or of the way to a pose vetted."""
        self._guard.slow_down(ratio)
        stamps_ns = (command.stamp_ns, sample.stamp_ns, now_ns)
        if command.mode is MotionMode.INCREMENT:
            return self._guard.vet_action(
                command.action, *stamps_ns, sample.force_tcp_n
            )
        return self._guard.vet_pose(
            command.base_from_tcp, *stamps_ns, sample.force_tcp_n
        )

    def _compute_ratio(self, command: ServoCommand, sample: ArmState) -> float:
        """Return the speed ratio: the least of order, slider and what the guard asks.

        In coarse steps: what trembles must not plan the motion anew in every cycle.
        """
        ratio = round(min(command.speed_ratio, sample.speed_fraction), 2)
        return max(round(ratio * self._scale, 3), LEAST_RATIO)

    def _note_scale(self, scale: float) -> None:
        """Slow down at once when the guard asks for it, speed up after a while."""
        wanted = math.ceil(scale * _SCALE_STEPS) / _SCALE_STEPS
        self._cycles_to_faster -= 1
        if wanted <= self._scale:
            self._cycles_to_faster = _SCALE_CYCLES
        if wanted < self._scale or self._cycles_to_faster <= 0:
            self._scale = wanted

    def _is_ramping(self) -> bool:
        """Say whether the guard's ramp is under way; it runs to its end."""
        return self._ramp_id is not None and not self.is_at_rest

    def _accept(self, verdict: Verdict, sample: ArmState, now_ns: int) -> Verdict:
        """Take over what was granted; start anew once a ramp has come to rest."""
        self._note_scale(verdict.scale)
        qd = (verdict.q - self.q_command) / self._period_s
        self.plan_refusal = self._consult(verdict, qd, sample, now_ns)
        if verdict.reason is HoldReason.NONE:
            self._ramp_id = None
        elif not self._is_ramping():
            self._ramp_id = self.command_id
        self.is_at_rest = not bool(qd.any())
        if self._order is not None and self._order.mode in _STREAMED:
            qdd = (qd - self._qd) / self._period_s
            self._interpolator.pass_on(verdict.q, qd, qdd)
        self._qd = qd
        self.q_command = verdict.q
        if verdict.reason is HoldReason.NONE:
            return verdict
        if self.is_at_rest:
            self._interpolator.resync(verdict.q, np.zeros(6))
        if verdict.reason not in _PASSING and self._is_judged():
            self._refusal = verdict.reason
        return verdict

    def _is_judged(self) -> bool:
        """Say whether a verdict is about the order, and the order about motion.

        One that came while the ramp of another ran has not been judged yet. An order
        to rest breaks no limit: the guard is asked about it until what stood against
        motion is over. Its filter of the force hears of nothing else meanwhile.
        """
        order = self._order
        return (
            self._ramp_id == self.command_id
            and order is not None
            and order.mode in _MOVING
        )

    def _consult(
        self, verdict: Verdict, qd: Vector, sample: ArmState, now_ns: int
    ) -> PlanRefusal | None:
        """Have a granted request remembered; say what is wrong with a hold."""
        if verdict.reason is HoldReason.NONE:
            self._fallback.approve(verdict.q, qd, now_ns)
            return None
        plan = self._fallback.take(sample.q, now_ns)
        if isinstance(plan, PlanRefusal):
            return plan
        # A hold that is no number is none either.
        is_on_plan = (verdict.q >= plan.q_low) & (verdict.q <= plan.q_high)
        return None if bool(is_on_plan.all()) else PlanRefusal.OTHER_WAY

    def _note_arrival(self, sample: ArmState) -> None:
        order = self._order
        if order is None or self.reached_id >= self.command_id:
            return
        if order.mode in _STREAMED:
            # It lasts until the next order.
            return
        if not self._interpolator.has_arrived():
            return
        self._cycles_since_done += 1
        if order.arrival_rad > 0.0 and not self._interpolator.is_done():
            self.reached_id = self.command_id
            return
        # The setpoints have arrived; the joints follow within their lag.
        gap = float(np.max(np.abs(sample.q - self.q_command)))
        is_late = self._cycles_since_done > _SETTLED_CYCLES
        if gap < (_SAGGING_RAD if is_late else _SETTLED_RAD):
            self.reached_id = self.command_id


def find_flaw(command: ServoCommand) -> HoldReason:
    """Return why an order makes no sense, NONE when it does."""
    numbers = [
        command.speed_ratio,
        command.arrival_rad,
        command.payload_kg,
        command.part_radius_m,
        command.part_length_m,
    ]
    if command.mode is MotionMode.MOVE_JOINT:
        numbers.extend(command.q_target.tolist())
    if command.mode is MotionMode.INCREMENT:
        numbers.extend(command.action.tolist())
    if command.mode in (MotionMode.MOVE_LINEAR, MotionMode.TRACK):
        pose = command.base_from_tcp
        numbers.extend([*pose.position_m.tolist(), *pose.quat_wxyz.tolist()])
        if not abs(float(np.linalg.norm(pose.quat_wxyz)) - 1.0) < 1e-3:
            return HoldReason.COMMAND_NOT_FINITE
    if not np.isfinite(numbers).all() or command.speed_ratio <= 0.0:
        return HoldReason.COMMAND_NOT_FINITE
    return HoldReason.NONE
