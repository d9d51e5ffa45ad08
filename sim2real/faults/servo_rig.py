"""The servo process's own session over an arm of a few lines, cycle by cycle.

For rows that end in a latch: what the guard answers is one thing, that the robot's
program is ended for it and nothing but a release begins anew is another.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.contracts.servo import (
    INTERVENTIONS,
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import ns_from_s, s_from_ns
from cell.servo.follower import CommandFollower
from cell.servo.interpolator import Interpolator
from cell.servo.latch import Latch
from cell.servo.motions import MotionLimits
from cell.servo.reporting import GuardMeter, Tally
from cell.servo.session import ArmSession, Desk, Tool
from cell.supervisor.causes import Cause
from ops.settings import Settings
from safety.action_cache import SafeActionCache
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection_limits import make_projection_limits
from safety.requests import ProjectedRequests
from sim2real.faults.rows import Rung
from sim2real.faults.table_rungs import read_rung

_PERIOD_S: Final = 0.002
_PERIOD_NS: Final = ns_from_s(_PERIOD_S)
_NO_TIME_NS: Final = 2**70
"""A stamp that no machine can hold."""
_SWING: Final = np.array([0.8, 0.0, 0.0, 0.0, 0.0, 0.3])
_UNDER_WAY: Final = 100
_LONGEST: Final = 1500

Fault = Callable[[], AbstractContextManager[None]]
"""Lends something broken for as long as the context lasts."""


def do_nothing() -> AbstractContextManager[None]:
    """Break nothing."""
    return nullcontext()


class RigArm:
    """Implements `ArmDriver`: the joints are where the last setpoint put them.

    Attributes:
        stamp_ns: of the next sample.
        robot_s: the robot's own clock in it [s].
        sent: every setpoint.
        has_ended: whether the robot's program was ended.
    """

    def __init__(self, q: Vector) -> None:
        self.stamp_ns = 0
        self.sent: list[Vector] = []
        self.has_ended = False
        self._q = q.copy()
        self._is_playing = False
        self.robot_s = 0.0

    def read_state(self) -> ArmState:
        """Return where the joints are."""
        return ArmState(
            stamp_ns=self.stamp_ns,
            robot_time_s=self.robot_s,
            q=self._q.copy(),
            qd=np.zeros(6),
            base_from_tcp=Pose.identity(),
            force_tcp_n=np.zeros(6),
            robot_mode=int(RobotMode.RUNNING),
            safety_status_bits=1 << SafetyBit.NORMAL,
            program_running=self._is_playing,
            speed_fraction=1.0,
        )

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        """Start the program."""
        del flange_from_tcp, payload_kg
        self._is_playing = True

    def set_payload(self, payload_kg: float) -> None:
        """Carry anything."""

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Be there."""
        del period_s
        self.sent.append(q.copy())
        self._q = q.copy()

    def stop(self) -> None:
        """End the program."""
        self.has_ended, self._is_playing = True, False

    def close(self) -> None:
        """Do nothing."""


class RigPort:
    """The supervisor's side: one command in, the newest state out."""

    def __init__(self) -> None:
        self.command: ServoCommand | None = None
        self.state: ServoState | None = None

    def read_command(self) -> ServoCommand | None:
        """Return the order."""
        return self.command

    def write_state(self, state: ServoState) -> None:
        """Keep the state."""
        self.state = state


class ServoRig:
    """A session with the limits of a configuration, armed and at rest.

    Attributes:
        home: where it began, shape (6,) [rad].
        arm: of a few lines.
        port: the supervisor's side.
        age_ns: of the order's stamp in each cycle [ns]; negative for the future.
        events: what the session recorded, as names and fields, in order.
    """

    def __init__(self, settings: Settings, q: Vector | None = None) -> None:
        """Arm at `q`, shape (6,) [rad]; by default at the home of the cell."""
        self.home = np.array(settings.arm.home_q_rad) if q is None else q.copy()
        self.arm, self.port = RigArm(self.home), RigPort()
        self.age_ns = 0
        self.events: list[tuple[str, dict[str, object]]] = []
        tool = settings.arm.flange_from_tcp.pose()
        limits = make_limits(settings.safety, tool, _PERIOD_S)
        guard = GuardMeter(
            ProjectedRequests(
                EnvelopeGuard.from_config(settings.safety, tool, _PERIOD_S),
                make_projection_limits(limits),
            )
        )
        freshness_ns = ns_from_s(settings.safety.freshness_s)
        motion = MotionLimits(
            settings.motion, settings.safety.tcp_speed_mps, tool, _PERIOD_S
        )
        follower = CommandFollower(
            guard,
            Interpolator(motion),
            SafeActionCache(limits),
            freshness_ns,
            _PERIOD_S,
        )
        desk = Desk(
            port=self.port,
            follower=follower,
            tally=Tally(guard, 0, _PERIOD_S),
            tool=Tool(tool, settings.arm.gripper_mass_kg),
            freshness_ns=freshness_ns,
            latch=Latch.closed(None),
            record=lambda event, fields: self.events.append((event, fields)),
        )
        self._session = ArmSession(self.arm, desk)
        self._now_ns = ns_from_s(1000.0)
        self.port.command = ServoCommand(
            stamp_ns=0,
            command_id=1,
            arm_id=1,
            mode=MotionMode.HOLD,
            q_target=np.zeros(6),
            base_from_tcp=Pose.identity(),
        )
        self.step(3)

    @property
    def state(self) -> ServoState:
        """What the session published last."""
        if self.port.state is None:
            raise RuntimeError("the session has not published anything")
        return self.port.state

    def step(self, cycles: int = 1, *, gap_ns: int = _PERIOD_NS) -> None:
        """Run cycles; the order is vouched for in each."""
        for _ in range(cycles):
            self._now_ns += gap_ns
            self.arm.stamp_ns = self._now_ns
            self.arm.robot_s = s_from_ns(self._now_ns)
            self._cycle()

    def step_without_time(self) -> None:
        """Run one cycle on a sample with a stamp that no machine can hold."""
        self._now_ns += _PERIOD_NS
        self.arm.stamp_ns = _NO_TIME_NS
        self._cycle()

    def order(self, q_target: Vector) -> None:
        """Order a motion."""
        before = self.port.command
        if before is not None:
            self.port.command = replace(
                before,
                command_id=before.command_id + 1,
                mode=MotionMode.MOVE_JOINT,
                q_target=q_target,
            )

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Run cycles until a condition holds; say whether it came to that."""
        for _ in range(_LONGEST):
            if condition():
                return True
            self.step()
        return condition()

    def has_latched(self) -> bool:
        """Say whether motion is forbidden until a release."""
        return self.state.phase is ServoPhase.FAULT

    def _cycle(self) -> None:
        if self.port.command is not None:
            stamp_ns = self._now_ns - self.age_ns
            self.port.command = replace(self.port.command, stamp_ns=stamp_ns)
        self._session.cycle(self._now_ns)


@dataclass(frozen=True)
class Seen:
    """What a session did.

    Attributes:
        seen: for a person.
        missed: what should have been; empty when all was.
        rung: of the reaction that was seen, None when there was none.
        table_rung: of the cause that a supervisor makes of it, by the table of causes.
        events: what the session recorded, by name.
    """

    seen: str
    missed: str = ""
    rung: Rung | None = None
    table_rung: Rung | None = None
    events: tuple[str, ...] = ()


def order_target(
    settings: Settings, q_target: Vector, q_start: Vector | None = None
) -> Seen:
    """Order a motion that the guard has to refuse, and see what becomes of it.

    Args:
        settings: of the cell.
        q_target: where to, shape (6,) [rad].
        q_start: from where, shape (6,) [rad]; by default from home.
    """
    rig = ServoRig(settings, q_start)
    rig.order(q_target)
    rig.run_until(lambda: rig.state.hold_reason in INTERVENTIONS)
    reason = rig.state.hold_reason
    if reason not in INTERVENTIONS:
        return Seen(f"carried out ({reason.name})", "the motion was not refused")
    travel_rad = float(np.max(np.abs(rig.arm.sent[-1] - rig.home)))
    return Seen(
        f"{reason.name} after {travel_rad:.2f} rad",
        rung=Rung.HOLD,
        # Refused for good: the order of a supervisor that gets this back is over.
        table_rung=read_rung(Cause.COMMAND_VETOED),
        events=_name_events(rig, reason),
    )


def break_guard(settings: Settings, fail: Fault = do_nothing) -> Seen:
    """Let the guard raise once in the middle of a motion, and latch for it.

    Args:
        settings: of the cell.
        fail: breaks something of the guard for one cycle; without it the sample has a
            stamp that no machine can hold.
    """
    rig = _start_swing(settings)
    if fail is do_nothing:
        rig.step_without_time()
    else:
        with fail():
            rig.step()
    return _see_latch(rig, HoldReason.GUARD_EXCEPTION)


def stand_still(settings: Settings, gap_s: float) -> Seen:
    """Let the session stand still in the middle of a motion for so long [s]."""
    rig = _start_swing(settings)
    rig.step(gap_ns=ns_from_s(gap_s))
    return _see_latch(rig, HoldReason.PLAN_REFUSED)


def come_late(settings: Settings, gap_s: float) -> Seen:
    """Let one cycle in the middle of a motion come so long after the last [s]."""
    rig = _start_swing(settings)
    rig.step(gap_ns=ns_from_s(gap_s))
    return _see_hold(rig, HoldReason.CYCLE_OVERRUN)


def order_by_another_clock(settings: Settings, age_s: float) -> Seen:
    """Let the order under way carry a stamp of such an age [s] for one cycle."""
    rig = _start_swing(settings)
    rig.age_ns = ns_from_s(age_s)
    rig.step()
    return _see_hold(rig, HoldReason.COMMAND_STALE)


def _start_swing(settings: Settings) -> ServoRig:
    rig = ServoRig(settings)
    rig.order(rig.home + _SWING)
    rig.step(_UNDER_WAY)
    return rig


def _name_events(rig: ServoRig, reason: HoldReason) -> tuple[str, ...]:
    """Return the names of events that say why: the reason stands in each of them."""
    name = reason.name.lower()
    return tuple(
        event
        for event, fields in rig.events
        if any(name in str(value).lower() for value in fields.values())
    )


def _see_hold(rig: ServoRig, reason: HoldReason) -> Seen:
    seen = rig.state.hold_reason
    if seen is not reason:
        return Seen(seen.name, f"no hold for {reason.name}, but {seen.name}")
    return Seen(seen.name, rung=Rung.HOLD, events=_name_events(rig, reason))


def _see_latch(rig: ServoRig, reason: HoldReason) -> Seen:
    rig.run_until(rig.has_latched)
    seen = rig.state.hold_reason
    if not rig.has_latched() or seen is not reason:
        return Seen(seen.name, f"no latch for {reason.name}, but {seen.name}")
    if not rig.arm.has_ended:
        return Seen(seen.name, "the robot's program was not ended")
    sent = len(rig.arm.sent)
    rig.step(_UNDER_WAY)
    if len(rig.arm.sent) > sent:
        return Seen(seen.name, "setpoints were sent after the latch")
    return Seen(
        f"{seen.name}: program ended, latched",
        rung=Rung.LATCH,
        events=_name_events(rig, reason),
    )
