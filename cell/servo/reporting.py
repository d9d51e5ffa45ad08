"""Counts what the servo process did, and puts its published state together."""

from dataclasses import dataclass, field
from time import perf_counter_ns

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode
from cell.contracts.runtime import RequestGuard, Verdict
from cell.contracts.servo import (
    IDLE_HOLDS,
    ORDERED_HOLDS,
    HoldReason,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import s_from_ns
from cell.servo.durations import DurationHistogram
from cell.servo.follower import CommandFollower
from cell.servo.latch import Latch

_REFRESH_CYCLES = 1000

_NOWHERE = ArmState(
    stamp_ns=0,
    robot_time_s=0.0,
    q=np.zeros(6),
    qd=np.zeros(6),
    base_from_tcp=Pose.identity(),
    force_tcp_n=np.zeros(6),
    robot_mode=int(RobotMode.NO_CONTROLLER),
    safety_status_bits=0,
    program_running=False,
    speed_fraction=0.0,
)


class GuardMeter:
    """A guard that counts its verdicts and measures their time.

    Attributes:
        verdicts: answers so far.
        p50_us: median time of all answers [us].
        p999_us: their 99.9 percentile [us].
    """

    def __init__(self, guard: RequestGuard) -> None:
        self.verdicts = 0
        self.p50_us = 0.0
        self.p999_us = 0.0
        self._guard = guard
        self._times = DurationHistogram()
        self._granted: bytes | None = None
        # What numpy loads on the first use must not be loaded while the arm moves.
        self.refresh()

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest."""
        self._guard.reset(q_measured)

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold."""
        started_ns = perf_counter_ns()
        verdict = self._guard.hold(reason, now_ns)
        return self._note(verdict, perf_counter_ns() - started_ns)

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of the part in the fingers."""
        self._guard.attach(radius_m, length_m)

    def vet(
        self,
        q_request: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one joint request."""
        started_ns = perf_counter_ns()
        verdict = self._guard.vet(
            q_request, command_stamp_ns, arm_stamp_ns, now_ns, force_tcp_n
        )
        return self._note(verdict, perf_counter_ns() - started_ns)

    def slow_down(self, ratio: float) -> None:
        """Scale the speeds of actions and poses."""
        self._guard.slow_down(ratio)

    def vet_action(
        self,
        action: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet six normalised joint increments."""
        started_ns = perf_counter_ns()
        verdict = self._guard.vet_action(
            action, command_stamp_ns, arm_stamp_ns, now_ns, force_tcp_n
        )
        return self._note(verdict, perf_counter_ns() - started_ns)

    def vet_pose(
        self,
        base_from_tcp: Pose,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one cycle of the way to a tool pose."""
        started_ns = perf_counter_ns()
        verdict = self._guard.vet_pose(
            base_from_tcp, command_stamp_ns, arm_stamp_ns, now_ns, force_tcp_n
        )
        return self._note(verdict, perf_counter_ns() - started_ns)

    def describe(self, verdict: Verdict) -> str:
        """Return limit, joint, axis or pair, and value in a few words."""
        return self._guard.describe(verdict)

    def take_grant(self, q: Vector) -> bool:
        """Say whether the newest verdict granted exactly `q`; each does so once."""
        granted, self._granted = self._granted, None
        return granted is not None and granted == q.tobytes()

    def refresh(self) -> None:
        """Work the figures out anew."""
        self.p50_us, self.p999_us = (
            ns / 1e3 for ns in self._times.compute_quantiles_ns((0.5, 0.999))
        )

    def _note(self, verdict: Verdict, duration_ns: int) -> Verdict:
        self.verdicts += 1
        self._granted = verdict.q.tobytes()
        self._times.add(duration_ns)
        if self.verdicts % _REFRESH_CYCLES == 0:
            self.refresh()
        return verdict


@dataclass
class Tally:
    """Everything counted since the start of the process.

    Attributes:
        scheduler: 0 FIFO, 1 nice, 2 normal priority.
        period_s: control period in use [s].
        cycle: cycles so far.
        armed_cycles: cycles in which the arm might be moved.
        late_cycles: those among them later than 1.25 periods.
        sent: setpoints on their way to the driver.
        unguarded: those among them that no verdict granted; they went no further.
        hold_count: holds that nobody ordered.
        guard: what answers for setpoints.
    """

    guard: GuardMeter
    scheduler: int
    period_s: float
    cycle: int = 0
    armed_cycles: int = 0
    late_cycles: int = 0
    sent: int = 0
    unguarded: int = 0
    hold_count: int = 0
    hold_reason: HoldReason = HoldReason.NOT_ARMED
    hold_counts: np.ndarray = field(default_factory=lambda: np.zeros(len(HoldReason)))

    def note_setpoint(self, q: Vector) -> bool:
        """Count a setpoint on its way to the driver; say if a verdict granted it."""
        self.sent += 1
        is_granted = self.guard.take_grant(q)
        self.unguarded += not is_granted
        return is_granted

    def note_hold(self, reason: HoldReason) -> None:
        """Count a hold at its onset."""
        if reason is not self.hold_reason and reason not in IDLE_HOLDS:
            self.hold_count += reason not in ORDERED_HOLDS
            self.hold_counts[reason] += 1
        self.hold_reason = reason

    def show_hold(self, reason: HoldReason) -> None:
        """Show why motion is forbidden, without counting it as a hold."""
        self.hold_reason = reason

    def make_state(
        self,
        phase: ServoPhase,
        latch: Latch,
        follower: CommandFollower,
        sample: ArmState | None,
        now_ns: int,
    ) -> ServoState:
        """Return the state to publish in this cycle."""
        arm = sample or _NOWHERE
        chunk_id, chunk_s = follower.read_chunk()
        return ServoState(
            stamp_ns=now_ns,
            cycle=self.cycle,
            phase=phase,
            hold_reason=self.hold_reason,
            hold_count=self.hold_count,
            hold_counts=self.hold_counts,
            command_id=follower.command_id,
            reached_id=follower.reached_id,
            arm_id=latch.arm_id,
            chunk_id=chunk_id,
            chunk_s=chunk_s,
            q=arm.q,
            qd=arm.qd,
            q_command=follower.q_command,
            base_from_tcp=arm.base_from_tcp,
            force_tcp_n=arm.force_tcp_n,
            robot_mode=arm.robot_mode,
            safety_status_bits=arm.safety_status_bits,
            speed_fraction=arm.speed_fraction,
            # A sample may arrive after the cycle took its time.
            arm_age_s=s_from_ns(max(now_ns - arm.stamp_ns, 0)),
            armed_cycles=self.armed_cycles,
            late_cycles=self.late_cycles,
            unguarded_cycles=self.unguarded,
            guard_p50_us=self.guard.p50_us,
            guard_p999_us=self.guard.p999_us,
            scheduler=self.scheduler,
            period_s=self.period_s,
        )
