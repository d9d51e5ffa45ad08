"""A dry run of every kind of motion, so that nothing compiles once the arm moves."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.contracts.servo import MotionMode, ServoCommand
from cell.kinematics import compute_base_from_tcp
from cell.servo.follower import CommandFollower

_CYCLES = 40
_STEP_RAD = 0.02
_CHUNK_STEP_S = 0.02
_PERIOD_NS = 2_000_000


def rehearse(follower: CommandFollower, q_home: Vector) -> None:
    """Follow each kind of order without any robot.

    Args:
        follower: one that will not be used for anything else.
        q_home: a place in the workspace, shape (6,) [rad].
    """
    sample = ArmState(
        stamp_ns=_PERIOD_NS,
        robot_time_s=0.0,
        q=q_home,
        qd=np.zeros(6),
        base_from_tcp=Pose.identity(),
        force_tcp_n=np.zeros(6),
        robot_mode=int(RobotMode.RUNNING),
        safety_status_bits=1 << SafetyBit.NORMAL,
        program_running=True,
        speed_fraction=1.0,
    )
    order = ServoCommand(
        stamp_ns=_PERIOD_NS,
        command_id=0,
        arm_id=0,
        mode=MotionMode.HOLD,
        q_target=q_home + _STEP_RAD,
        base_from_tcp=compute_base_from_tcp(q_home, Pose.identity()),
        action=np.full(6, 0.1),
    )
    now_ns = _PERIOD_NS
    follower.restart(q_home, order)
    for step in _orders(follower, order):
        for _ in range(_CYCLES):
            now_ns += _PERIOD_NS
            sample = replace(sample, stamp_ns=now_ns, q=follower.q_command)
            follower.follow(replace(step, stamp_ns=now_ns), sample, now_ns)


def _orders(follower: CommandFollower, order: ServoCommand) -> Iterator[ServoCommand]:
    """Yield one order of each kind, with what brings the arm to rest in between."""
    number = 0
    for mode in (
        *(MotionMode.MOVE_JOINT, MotionMode.HOLD, MotionMode.MOVE_LINEAR),
        *(MotionMode.INCREMENT, MotionMode.TRACK, MotionMode.HOLD, MotionMode.BRAKE),
    ):
        number += 1
        yield replace(order, command_id=number, mode=mode)
    number += 1
    rows = np.vstack([follower.q_command] * 3)
    chunk = TimedChunk(number, 0, 0.0, _CHUNK_STEP_S, rows)
    yield replace(
        order,
        command_id=number,
        mode=MotionMode.FOLLOW,
        chunk_id=number,
        chunk=chunk,
    )
