"""What the supervisor asks of the servo process, and what it hears back."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose, Vector


class MotionMode(IntEnum):
    """What the servo process does with a command.

    HOLD comes to rest within the limits of ordinary motion, which is kind to a part in
    the fingers. BRAKE comes to rest along the guard's ramp, as fast as the cell allows,
    and holds. STOP comes to rest as HOLD does and ends the robot's program.

    INCREMENT and TRACK follow a policy that looks on while the arm moves: in each cycle
    they take six normalised joint increments, or one step towards a tool pose, as the
    newest writing of the same order has them. FOLLOW goes along a chunk of joint
    positions with a pace of its own.
    """

    HOLD = 0
    MOVE_JOINT = 1
    MOVE_LINEAR = 2
    STOP = 3
    BRAKE = 4
    INCREMENT = 5
    TRACK = 6
    FOLLOW = 7


RESTING_MODES = frozenset({MotionMode.HOLD, MotionMode.BRAKE, MotionMode.STOP})
"""What asks for no motion, however it comes to rest."""


class ServoPhase(IntEnum):
    """Life of the servo process as the supervisor sees it."""

    STARTING = 0
    CONNECTING = 1
    READY = 2
    MOVING = 3
    FAULT = 4
    STOPPED = 5


UNLINKED_PHASES = frozenset({ServoPhase.STARTING, ServoPhase.CONNECTING})
"""There is no connection to the robot."""


class HoldReason(IntEnum):
    """Why the servo process holds instead of following its command."""

    NONE = 0
    NO_COMMAND = 1
    COMMAND_NOT_FINITE = 2
    COMMAND_STALE = 3
    ARM_STATE_STALE = 4
    JOINT_POSITION = 5
    JOINT_SPEED = 6
    JOINT_ACCELERATION = 7
    TCP_SPEED = 8
    WORKSPACE = 9
    UNREACHABLE = 10
    SINGULAR = 11
    GUARD_EXCEPTION = 12
    CYCLE_OVERRUN = 13
    ROBOT_NOT_READY = 14
    PROTECTIVE_STOP = 15
    EMERGENCY_STOP = 16
    LINK_LOST = 17
    NOT_ARMED = 18
    TRACKING_ERROR = 19
    COMMAND_WITHHELD = 20
    BRAKE_ORDERED = 21
    SPEED_ZERO = 22
    JOINT_JERK = 23
    KEEP_OUT_ZONE = 24
    SELF_COLLISION = 25
    TCP_FORCE = 26
    PLAN_REFUSED = 27
    CHUNK_SEAM = 28


IDLE_HOLDS = frozenset({HoldReason.NONE, HoldReason.NO_COMMAND, HoldReason.NOT_ARMED})
"""The arm waits to be told something; nothing was refused."""

ORDERED_HOLDS = frozenset(
    {HoldReason.COMMAND_WITHHELD, HoldReason.BRAKE_ORDERED, HoldReason.SPEED_ZERO}
)
"""The supervisor, or the speed slider, wanted the arm to rest; nothing was refused."""

TIMING_HOLDS = frozenset(
    {HoldReason.COMMAND_STALE, HoldReason.ARM_STATE_STALE, HoldReason.CYCLE_OVERRUN}
)
"""Hiccups of timing, after which the same order may go on."""

ROBOT_HOLDS = frozenset(
    {
        HoldReason.ROBOT_NOT_READY,
        HoldReason.PROTECTIVE_STOP,
        HoldReason.EMERGENCY_STOP,
        HoldReason.LINK_LOST,
    }
)
"""Trouble at the robot or its link, which no order led to."""

UNEXPLAINED_HOLDS = frozenset(
    {HoldReason.TRACKING_ERROR, HoldReason.PLAN_REFUSED, HoldReason.GUARD_EXCEPTION}
)
"""Latched because the arm is not where it was told to go, or because the guard failed:
nobody knows why, so somebody has to look."""

INTERVENTIONS = (
    frozenset(HoldReason) - IDLE_HOLDS - ORDERED_HOLDS - TIMING_HOLDS - ROBOT_HOLDS
)
"""What the arm was ordered to do broke a limit, or could not be carried out."""

WITHHELD_NS = 0
"""Stamp of an order that nobody vouches for at the moment: motion ramps to rest at
once, and goes on with the next true stamp."""


@dataclass(frozen=True, eq=False)
class ServoCommand:
    """One stamped order. It lapses when its stamp is older than the freshness limit.

    The supervisor rewrites the same `command_id` with a new stamp for as long as the
    motion is wanted, so a dead supervisor lets every motion lapse.

    Attributes:
        stamp_ns: monotonic clock when the supervisor last vouched for it, or
            `WITHHELD_NS`.
        command_id: rises by one for every new order.
        arm_id: rises by one each time a person or the PLC releases motion again after
            a fault; the servo process leaves FAULT only for a newer one.
        mode: see `MotionMode`.
        q_target: joint target of MOVE_JOINT, shape (6,) [rad].
        base_from_tcp: tool target of MOVE_LINEAR and TRACK.
        speed_ratio: 0..1 of the configured motion limits.
        arrival_rad: MOVE_JOINT counts as reached within this joint distance, so that
            the next order can be blended in [rad]; 0 asks for a full stop at target.
        payload_kg: mass at the tool beyond the gripper [kg].
        part_radius_m: of a capsule around the part in the fingers [m]; 0 for none.
        part_length_m: how far that part reaches beyond the tool point [m].
        action: normalised joint increments of INCREMENT, shape (6,), each -1..1; 1 is
            the full speed of the joint.
        chunk_id: number of the chunk of FOLLOW; 0 for none.
        chunk: that chunk; None when there is none, or another one.
    """

    stamp_ns: int
    command_id: int
    arm_id: int
    mode: MotionMode
    q_target: Vector
    base_from_tcp: Pose
    speed_ratio: float = 1.0
    arrival_rad: float = 0.0
    payload_kg: float = 0.0
    part_radius_m: float = 0.0
    part_length_m: float = 0.0
    action: Vector = field(default_factory=lambda: np.zeros(6))
    chunk_id: int = 0
    chunk: TimedChunk | None = None


@dataclass(frozen=True, eq=False)
class ServoState:
    """What the servo process publishes on every cycle.

    Attributes:
        stamp_ns: monotonic clock at publication.
        cycle: number of this cycle since the process started.
        phase: see `ServoPhase`.
        hold_reason: why it holds, NONE while it follows a command.
        hold_count: holds since start that nobody ordered, counted at their onset; a
            hiccup of timing counts only where there was something to do.
        hold_counts: holds per `HoldReason`, those that were ordered among them, shape
            (len(HoldReason),).
        command_id: newest order seen.
        reached_id: newest order that was completed.
        arm_id: newest release that took effect.
        chunk_id: chunk that the setpoints are in, 0 for none.
        chunk_s: how much of it was consumed, in its own time [s].
        q: measured joint positions, shape (6,) [rad].
        qd: measured joint velocities, shape (6,) [rad/s].
        q_command: last vetted joint command, shape (6,) [rad].
        base_from_tcp: measured tool pose.
        force_tcp_n: measured tool force, shape (6,) [N, N.m].
        robot_mode: UR robot mode.
        safety_status_bits: UR safety bits.
        speed_fraction: robot's speed slider, 0..1.
        arm_age_s: age of the newest arm sample [s].
        armed_cycles: cycles since start in which the arm might be moved.
        late_cycles: those among them later than 1.25 periods.
        unguarded_cycles: setpoints that came to the driver's door without a verdict of
            the guard that granted just them, just once; they are not sent. Must stay 0.
        guard_p50_us: median guard time since start [us].
        guard_p999_us: its 99.9 percentile [us].
        scheduler: 0 FIFO, 1 nice, 2 normal priority.
        period_s: control period in use [s].
    """

    stamp_ns: int
    cycle: int
    phase: ServoPhase
    hold_reason: HoldReason
    hold_count: int
    hold_counts: Vector
    command_id: int
    reached_id: int
    arm_id: int
    chunk_id: int
    chunk_s: float
    q: Vector
    qd: Vector
    q_command: Vector
    base_from_tcp: Pose
    force_tcp_n: Vector
    robot_mode: int
    safety_status_bits: int
    speed_fraction: float
    arm_age_s: float
    armed_cycles: int
    late_cycles: int
    unguarded_cycles: int
    guard_p50_us: float
    guard_p999_us: float
    scheduler: int
    period_s: float
