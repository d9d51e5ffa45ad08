"""A servo session over a fake arm and a clock that a test moves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cell.config import MotionConfig
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import (
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoState,
)
from cell.servo.follower import CommandFollower
from cell.servo.interpolator import Interpolator
from cell.servo.latch import Latch
from cell.servo.motions import MotionLimits
from cell.servo.reporting import GuardMeter, Tally
from cell.servo.session import ArmSession, Desk, Tool
from safety.action_cache import SafeActionCache
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection_limits import make_projection_limits
from safety.requests import ProjectedRequests
from tests.fakes.arm import FakeArm
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

MS = 1_000_000
PERIOD_NS = 2 * MS
FRESHNESS_NS = 100 * MS
TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
LIMITS = MotionLimits(MotionConfig(), 1.35, TOOL, PERIOD_S)
BLANK = ServoCommand(
    stamp_ns=0,
    command_id=1,
    arm_id=1,
    mode=MotionMode.HOLD,
    q_target=np.zeros(6),
    base_from_tcp=Pose.identity(),
)


class FakePort:
    """The supervisor's side: one command in, all states out."""

    def __init__(self) -> None:
        self.command: ServoCommand | None = None
        self.states: list[ServoState] = []

    def read_command(self) -> ServoCommand | None:
        return self.command

    def write_state(self, state: ServoState) -> None:
        self.states.append(replace(state, hold_counts=state.hold_counts.copy()))


class ServoRig:
    """Steps a session cycle by cycle; the supervisor is alive while `vouches`."""

    def __init__(self, known: ServoCommand | None = None) -> None:
        self.arm = FakeArm()
        self.port = FakePort()
        self.port.command = known
        self.events: list[tuple[str, dict[str, object]]] = []
        limits = make_limits(SAFETY, TOOL, PERIOD_S)
        guard = GuardMeter(
            ProjectedRequests(
                EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S),
                make_projection_limits(limits),
            )
        )
        self.desk = Desk(
            port=self.port,
            follower=CommandFollower(
                guard,
                Interpolator(LIMITS),
                SafeActionCache(limits),
                FRESHNESS_NS,
                PERIOD_S,
            ),
            tally=Tally(guard, 0, PERIOD_S),
            tool=Tool(TOOL, 0.95),
            freshness_ns=FRESHNESS_NS,
            latch=Latch.closed(known),
            record=lambda event, fields: self.events.append((event, fields)),
        )
        self.session = ArmSession(self.arm, self.desk)
        self.now_ns = 1_000 * MS
        self.vouches = True
        self.robot_lives = True

    @property
    def state(self) -> ServoState:
        return self.port.states[-1]

    def step(self, cycles: int = 1, *, gap_ns: int = PERIOD_NS) -> ServoState:
        for _ in range(cycles):
            self.now_ns += gap_ns
            if self.robot_lives:
                self.arm.now_ns = self.now_ns
            if self.vouches and self.port.command is not None:
                self.port.command = replace(self.port.command, stamp_ns=self.now_ns)
            self.session.cycle(self.now_ns)
        return self.state

    def order(self, mode: MotionMode, **fields: Any) -> ServoCommand:
        before = self.port.command or replace(BLANK, command_id=0)
        self.port.command = replace(
            before,
            stamp_ns=self.now_ns,
            mode=mode,
            command_id=before.command_id + 1,
            **fields,
        )
        return self.port.command

    def release(self) -> ServoState:
        """Order a hold with a newer release, as a person's acknowledge does."""
        before = self.port.command
        newest = max(self.desk.latch.arm_id, 0 if before is None else before.arm_id)
        self.order(MotionMode.HOLD, arm_id=newest + 1)
        return self.step()

    def move_home_by(self, offset: Vector | list[float], **fields: Any) -> None:
        self.order(MotionMode.MOVE_JOINT, q_target=HOME_Q + np.array(offset), **fields)

    def run_until(
        self, condition: Callable[[ServoState], bool], limit: int = 3000
    ) -> ServoState:
        for _ in range(limit):
            state = self.step()
            if condition(state):
                return state
        raise AssertionError(f"never came about, last {self.state}")

    def speeds(self) -> Vector:
        """Return the largest joint speed of every setpoint sent [rad/s]."""
        path = np.array(self.arm.sent)
        return np.asarray(np.abs(np.diff(path, axis=0)).max(axis=1) / PERIOD_S)


def armed_rig() -> ServoRig:
    rig = ServoRig()
    rig.step()
    rig.release()
    rig.step()
    assert rig.state.hold_reason is HoldReason.NONE
    return rig
