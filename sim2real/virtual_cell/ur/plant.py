"""What the controller moves: the simulated world, or an ideal arm for desk work."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cell.mailbox.seqlock import Mailbox
from sim2real.virtual_cell.links import JOINT_STATE, JOINT_TARGET
from sim2real.virtual_cell.ur.kinematics import Joints

ZERO_JOINTS: Joints = (0.0,) * 6

GRAVITY_MPS2 = 9.80665


@dataclass(frozen=True, slots=True)
class PlantSample:
    """One measurement of arm and gripper.

    Attributes:
        stamp_ns: monotonic clock of the measurement.
        tick: count of the plant's own steps; falls when the plant restarts.
        q: joint positions [rad].
        qd: joint velocities [rad/s].
        tau: joint torques [N.m].
        flange_wrench: force and torque that hang on the flange, weight of gripper
            and part included, base axes [N, N.m].
        gripper_position: 0 open .. 1 closed.
        gripper_velocity: of the same [1/s].
        gripper_contact: both pads touch the same part.
        collision: the arm hit something harder than the robot allows.
    """

    stamp_ns: int
    tick: int
    q: Joints
    qd: Joints = ZERO_JOINTS
    tau: Joints = ZERO_JOINTS
    flange_wrench: Joints = ZERO_JOINTS
    gripper_position: float = 0.0
    gripper_velocity: float = 0.0
    gripper_contact: bool = False
    collision: bool = False


@dataclass(frozen=True, slots=True)
class GripperTarget:
    """What the fingers shall do, each 0..1; position 0 open, 1 closed."""

    position: float = 0.0
    speed: float = 0.0
    force: float = 0.0


@dataclass(frozen=True, slots=True)
class PlantTarget:
    """Orders of one tick.

    Attributes:
        stamp_ns: monotonic clock of the tick.
        q: joint positions to hold [rad].
        qd: their rate [rad/s].
        gripper: see `GripperTarget`.
        payload_kg: mass the robot believes to carry; it takes off its weight itself.
        brakes_released: whether the drives hold the arm instead of the brakes.
    """

    stamp_ns: int
    q: Joints
    qd: Joints
    gripper: GripperTarget
    payload_kg: float
    brakes_released: bool


class JointPlant(Protocol):
    """Anything with six joints and two fingers."""

    def read(self, now_ns: int) -> PlantSample | None:
        """Return the newest measurement, or None before the first one."""
        ...

    def write(self, target: PlantTarget) -> None:
        """Hand over the orders of a tick."""
        ...

    def recall_gripper(self) -> GripperTarget | None:
        """Return what the fingers were told before this controller started.

        A gripper keeps its hold while the robot's controller restarts.
        """
        ...


def _make_struct(dtype: np.dtype[np.void]) -> struct.Struct:
    """Build the struct of a record whose fields are all 8 bytes wide."""
    codes = []
    for name in dtype.names or ():
        field = dtype[name]
        kind = "q" if field.base.kind == "i" else "d"
        codes.append(f"{math.prod(field.shape)}{kind}")
    packed = struct.Struct("<" + "".join(codes))
    if packed.size != dtype.itemsize:
        raise ValueError(f"record {dtype} has fields that are not 8 bytes wide")
    return packed


class MailboxPlant:
    """The world process, reached through shared memory. It may come and go."""

    def __init__(self, directory: Path) -> None:
        self._state = Mailbox.open(directory / "vc_joint_state", JOINT_STATE)
        self._target = Mailbox.open(directory / "vc_joint_target", JOINT_TARGET)
        self._unpack = _make_struct(JOINT_STATE).unpack
        self._pack = _make_struct(JOINT_TARGET).pack

    def read(self, now_ns: int) -> PlantSample | None:  # noqa: ARG002
        """Return the world's newest record; its own stamp tells how old it is."""
        record = self._state.read()
        if record is None:
            return None
        v = self._unpack(record.tobytes())
        return PlantSample(
            stamp_ns=v[0],
            tick=v[1],
            q=v[2:8],
            qd=v[8:14],
            tau=v[14:20],
            flange_wrench=v[20:26],
            gripper_position=v[26],
            gripper_velocity=v[27],
            gripper_contact=bool(v[28]),
            collision=bool(v[29]),
        )

    def write(self, target: PlantTarget) -> None:
        """Publish the orders of a tick."""
        gripper = target.gripper
        packed = self._pack(
            target.stamp_ns,
            *target.q,
            *target.qd,
            gripper.position,
            gripper.speed,
            gripper.force,
            int(target.brakes_released),
        )
        self._target.write(np.frombuffer(packed, dtype=JOINT_TARGET)[0])

    def recall_gripper(self) -> GripperTarget | None:
        """Return the order that a controller before this one left behind."""
        record = self._target.read()
        if record is None:
            return None
        return GripperTarget(
            float(record["gripper_position"]),
            float(record["gripper_speed"]),
            float(record["gripper_force"]),
        )


class IdealPlant:
    """Joints with a first-order lag and fingers that move as told.

    Args:
        q: joint positions at the start [rad].
        lag_s: time constant of every joint.
        part_at: finger position at which the fingers meet a part, or None.
    """

    _FINGER_SPEED = 2.5  # whole strokes per second at full speed
    _FINGER_SPEED_MIN = 0.3

    def __init__(
        self, q: Joints, lag_s: float = 0.008, part_at: float | None = None
    ) -> None:
        self._q = q
        self._lag_s = lag_s
        self._part_at = part_at
        self._fingers = 0.0
        self._target: PlantTarget | None = None
        self._stamp_ns: int | None = None
        self._tick = 0

    def read(self, now_ns: int) -> PlantSample | None:
        """Let the time since the last call pass and return the outcome."""
        dt_s = 0.0 if self._stamp_ns is None else (now_ns - self._stamp_ns) / 1e9
        self._stamp_ns = now_ns
        self._tick += 1
        target = self._target
        if target is None or dt_s <= 0.0:
            return PlantSample(now_ns, self._tick, self._q)
        qd = ZERO_JOINTS
        if target.brakes_released:
            share = 1.0 - math.exp(-dt_s / self._lag_s)
            moved = tuple(
                a + share * (b - a) for a, b in zip(self._q, target.q, strict=True)
            )
            qd = tuple((b - a) / dt_s for a, b in zip(self._q, moved, strict=True))
            self._q = moved
        fingers = self._move_fingers(target.gripper, dt_s)
        rate, self._fingers = (fingers - self._fingers) / dt_s, fingers
        touches = self._part_at is not None and fingers >= self._part_at
        return PlantSample(
            now_ns,
            self._tick,
            self._q,
            qd,
            # Whatever the robot believes to carry, hangs on the flange.
            flange_wrench=(0.0, 0.0, -GRAVITY_MPS2 * target.payload_kg, 0.0, 0.0, 0.0),
            gripper_position=fingers,
            gripper_velocity=rate,
            gripper_contact=touches,
        )

    def write(self, target: PlantTarget) -> None:
        """Take over the orders of a tick."""
        self._target = target

    def recall_gripper(self) -> GripperTarget | None:
        """Return nothing: this plant starts together with its controller."""
        return None

    def _move_fingers(self, target: GripperTarget, dt_s: float) -> float:
        span = self._FINGER_SPEED - self._FINGER_SPEED_MIN
        reach = (self._FINGER_SPEED_MIN + span * target.speed) * dt_s
        change = max(-reach, min(reach, target.position - self._fingers))
        limit = 1.0 if self._part_at is None else self._part_at
        return min(self._fingers + change, max(limit, self._fingers))
