"""One connection to the arm: a cycle reads, decides, sends and publishes.

No clock, no sleep and no thread in here: whoever calls `cycle` gives the time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import Complaint, DriverError, DriverUnreachableError
from cell.contracts.geometry import Pose
from cell.contracts.robot import PAYLOAD_MAX_KG, ArmState
from cell.contracts.runtime import PlanRefusal, Verdict
from cell.contracts.servo import (
    INTERVENTIONS,
    TIMING_HOLDS,
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import ns_from_s
from cell.servo.follower import CommandFollower
from cell.servo.latch import Latch, find_trouble
from cell.servo.reporting import Tally
from cell.servo.robot_clock import RobotClock
from cell.servo.witness import WitnessedArm

Record = Callable[[str, dict[str, object]], None]
Complain = Callable[[Complaint | None], None]

_SLIDER_STEP = 0.02
_DEFECTS = {
    HoldReason.TRACKING_ERROR: "the joints do not follow",
    # Whoever failed once over a request is not asked about the next one.
    HoldReason.GUARD_EXCEPTION: "the guard itself failed",
}
"""Holds that no order leads on from: at rest the robot's program is ended."""
# A wait for the robot that somebody who looks on should know of.
_STALE_NS = ns_from_s(0.05)


class ServoPort(Protocol):
    """The servo process's side of the mailboxes."""

    def read_command(self) -> ServoCommand | None:
        """Return the newest order."""
        ...

    def write_state(self, state: ServoState) -> None:
        """Publish the state of this cycle."""
        ...


@dataclass(frozen=True, eq=False)
class Tool:
    """What the flange carries.

    Attributes:
        flange_from_tcp: tool point.
        mass_kg: mass of the empty gripper [kg].
    """

    flange_from_tcp: Pose
    mass_kg: float


@dataclass
class Desk:
    """What outlives a connection.

    Attributes:
        port: mailboxes.
        follower: interpolator and guard.
        tally: counters.
        tool: what the flange carries.
        freshness_ns: age at which a command lapses.
        latch: whether motion is released.
        record: receives every event of note, as a name and its fields.
        complain: shows a trouble with the arm for as long as it lasts; None ends it.
    """

    port: ServoPort
    follower: CommandFollower
    tally: Tally
    tool: Tool
    freshness_ns: int
    latch: Latch
    record: Record
    complain: Complain = lambda _complaint: None


class ArmSession:
    """Runs the cycles of one connection."""

    def __init__(self, arm: ArmDriver, desk: Desk) -> None:
        self._arm = WitnessedArm(arm, desk.tally)
        self._desk = desk
        self._payload_kg = 0.0
        self._is_stopped = False
        self._sample: ArmState | None = None
        self._robot_clock = RobotClock()
        self._slider = 1.0

    def cycle(self, now_ns: int) -> bool:
        """Run one cycle.

        Returns:
            Whether a call to the robot was made that takes longer than a period.

        Raises:
            DriverError: the connection is of no more use.
        """
        desk = self._desk
        desk.tally.cycle += 1
        sample = self._sample = self._arm.read_state()
        command = desk.port.read_command()
        self._note_slider(sample.speed_fraction)
        trouble = find_trouble(sample, now_ns, needs_program=desk.latch.is_armed)
        if trouble is not HoldReason.NONE:
            self._fault(trouble, "")
        if trouble is HoldReason.LINK_LOST:
            raise DriverUnreachableError("arm", "its samples no longer advance")
        was_long = False
        if desk.latch.is_armed:
            was_long = self._move(command, sample, now_ns)
        elif command is not None and desk.latch.asks(
            command, now_ns, desk.freshness_ns
        ):
            self._release(command, trouble)
            was_long = True
        self._publish(now_ns)
        return was_long

    def brake(self, now_ns: int) -> bool:
        """Run one cycle of an orderly end; return whether the arm is at rest.

        Raises:
            DriverError: the connection is of no more use.
        """
        desk = self._desk
        desk.tally.cycle += 1
        sample = self._sample = self._arm.read_state()
        if not desk.latch.is_armed:
            return True
        was_at_rest = desk.follower.is_at_rest
        verdict = desk.follower.brake(
            HoldReason.NO_COMMAND,
            self._robot_clock.shift_sample(sample),
            self._robot_clock.shift(now_ns),
        )
        if desk.follower.plan_refusal is not None:
            # The end of the program, which follows, is the end of every plan.
            return True
        self._send(verdict)
        self._publish(now_ns)
        return was_at_rest and desk.follower.is_at_rest

    def end(self, now_ns: int) -> None:
        """End the robot's program and say so."""
        self._arm.stop()
        self._is_stopped = True
        self._desk.latch = self._desk.latch.close(HoldReason.NOT_ARMED)
        self._publish(now_ns)

    def _move(
        self, command: ServoCommand | None, sample: ArmState, now_ns: int
    ) -> bool:
        desk = self._desk
        if self._carry(command):
            # The time of this cycle is over; the order begins with the next one.
            return True
        if self._robot_clock.stands(sample, now_ns, may_wait=not self._rests_armed()):
            if now_ns - sample.stamp_ns > _STALE_NS:
                self._note_timing(HoldReason.ARM_STATE_STALE)
            return False
        verdict = desk.follower.follow(
            self._robot_clock.shift_command(command),
            self._robot_clock.shift_sample(sample),
            self._robot_clock.shift(now_ns),
        )
        refusal = desk.follower.plan_refusal
        if refusal is not None:
            self._abandon(verdict.reason, refusal, now_ns)
            return True
        is_busy = desk.follower.is_busy()
        self._send(verdict)
        if verdict.reason in INTERVENTIONS and desk.tally.hold_reason != verdict.reason:
            desk.record("refused", {"detail": desk.tally.guard.describe(verdict)})
        self._note_hold(verdict.reason, is_busy=is_busy)
        if not self._rests_armed():
            return False
        if verdict.reason in _DEFECTS:
            self._end_at_fault(verdict.reason, _DEFECTS[verdict.reason], now_ns)
            return True
        is_stop = command is not None and command.mode is MotionMode.STOP
        if is_stop and desk.follower.reached_id == desk.follower.command_id:
            self.end(now_ns)
            return True
        return False

    def _note_hold(self, reason: HoldReason, *, is_busy: bool) -> None:
        """Count a hold; an arm with nothing to do is not held for want of time."""
        if reason not in TIMING_HOLDS:
            self._desk.tally.note_hold(reason)
        elif is_busy:
            self._note_timing(reason)
        else:
            self._desk.tally.show_hold(reason)

    def _note_timing(self, reason: HoldReason) -> None:
        """Count a hold for want of time, and have it recorded once."""
        if self._desk.tally.hold_reason is not reason:
            self._desk.record("held", {"reason": reason.name})
        self._desk.tally.note_hold(reason)

    def _note_slider(self, fraction: float) -> None:
        """Have it recorded when somebody moved the robot's speed slider."""
        if abs(fraction - self._slider) > _SLIDER_STEP:
            self._slider = fraction
            self._desk.record("speed slider", {"fraction": round(fraction, 3)})

    def _abandon(self, reason: HoldReason, refusal: PlanRefusal, now_ns: int) -> None:
        """End the program: there is no approved way to rest from where the arm is."""
        is_stuck = reason is HoldReason.TRACKING_ERROR
        self._end_at_fault(
            reason if is_stuck else HoldReason.PLAN_REFUSED,
            f"no way to rest after {reason.name}: {refusal.value}",
            now_ns,
        )

    def _end_at_fault(self, reason: HoldReason, detail: str, now_ns: int) -> None:
        """Latch, say so, and end the program: the robot takes 0.1 s to stop."""
        self._fault(reason, detail)
        self._publish(now_ns)
        self._arm.stop()

    def _rests_armed(self) -> bool:
        return self._desk.latch.is_armed and self._desk.follower.is_at_rest

    def _send(self, verdict: Verdict) -> None:
        """Send what the guard granted; the only way to the robot."""
        desk = self._desk
        try:
            self._arm.send_joint_target(verdict.q, desk.tally.period_s)
        except DriverError as error:
            self._fault_at_robot(error)

    def _carry(self, command: ServoCommand | None) -> bool:
        """Tell the robot of a new mass, at rest only: the call takes its time."""
        desk = self._desk
        if command is None or command.command_id <= desk.follower.command_id:
            return False
        payload_kg = command.payload_kg
        if payload_kg == self._payload_kg or not desk.follower.is_at_rest:
            return False
        if not 0.0 <= payload_kg <= PAYLOAD_MAX_KG:
            return False
        try:
            self._arm.set_payload(desk.tool.mass_kg + payload_kg)
        except DriverError as error:
            self._fault_at_robot(error)
            return True
        self._payload_kg = payload_kg
        return True

    def _release(self, command: ServoCommand, trouble: HoldReason) -> None:
        """Initialise fully and go on from the measured position."""
        desk = self._desk
        if trouble is not HoldReason.NONE:
            desk.latch = desk.latch.use(command, trouble)
            desk.record("release refused", {"reason": trouble.name})
            return
        desk.latch = desk.latch.use(command, HoldReason.ROBOT_NOT_READY)
        try:
            self._arm.arm(desk.tool.flange_from_tcp, desk.tool.mass_kg)
        except DriverUnreachableError:
            raise
        except DriverError as error:
            desk.record("arming failed", {"detail": error.detail})
            desk.complain(Complaint.of(error))
            return
        self._payload_kg = 0.0
        self._is_stopped = False
        sample = self._sample = self._arm.read_state()
        desk.follower.restart(sample.q, command)
        desk.latch = desk.latch.use(command, HoldReason.NONE)
        desk.tally.note_hold(HoldReason.NONE)
        desk.record("armed", {"arm_id": command.arm_id})
        desk.complain(None)

    def _fault_at_robot(self, error: DriverError) -> None:
        """Latch with what the robot says about itself, after it refused a call."""
        if isinstance(error, DriverUnreachableError):
            raise error
        self._desk.complain(Complaint.of(error))
        self._sample = self._arm.read_state()
        trouble = find_trouble(self._sample, self._sample.stamp_ns, needs_program=False)
        self._fault(
            HoldReason.ROBOT_NOT_READY if trouble is HoldReason.NONE else trouble,
            error.detail,
        )

    def _fault(self, reason: HoldReason, detail: str) -> None:
        desk = self._desk
        before = desk.latch
        desk.latch = before.close(reason)
        if before.is_armed:
            desk.tally.note_hold(desk.latch.reason)
        if desk.latch != before:
            desk.record("fault", {"reason": reason.name, "detail": detail})

    def _publish(self, now_ns: int) -> None:
        desk = self._desk
        if not desk.latch.is_armed:
            desk.tally.show_hold(desk.latch.reason)
        desk.port.write_state(
            desk.tally.make_state(
                self._phase(), desk.latch, desk.follower, self._sample, now_ns
            )
        )

    def _phase(self) -> ServoPhase:
        desk = self._desk
        if desk.latch.is_armed:
            is_busy = desk.follower.is_busy()
            return ServoPhase.MOVING if is_busy else ServoPhase.READY
        return ServoPhase.STOPPED if self._is_stopped else ServoPhase.FAULT
