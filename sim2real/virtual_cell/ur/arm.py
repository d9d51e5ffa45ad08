"""The arm behind the controller: plant, commanded motion, stops, tool and payload."""

import math
from collections.abc import Sequence

from cell.contracts.robot import RobotMode
from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.ur.frames import (
    IDENTITY,
    Frame,
    Vec3,
    compose,
    compute_cross,
    invert,
    make_frame,
    rotate,
)
from sim2real.virtual_cell.ur.kinematics import (
    JOINT_LIMIT_RAD,
    Joints,
    compute_flange,
    compute_joints,
)
from sim2real.virtual_cell.ur.motion import MOTION_FAULTS, ArmMotion
from sim2real.virtual_cell.ur.plant import (
    GRAVITY_MPS2,
    GripperTarget,
    JointPlant,
    PlantSample,
    PlantTarget,
)
from sim2real.virtual_cell.ur.safety_state import SafetyState

PLANT_SILENCE_S = 0.5
"""Age of the plant's measurement above which the arm may not move blindly."""

DEVIATION_LIMIT_RAD = 0.35
"""Distance between commanded and measured position that stops the robot."""

STOP_DECELERATION = 35.0
"""Of protective, safeguard and emergency stops [rad/s2]."""

_STANDSTILL_RADPS = 0.1


class Arm:
    """Senses, decides about stops, and acts, once per tick each."""

    def __init__(self, plant: JointPlant, safety: SafetyState) -> None:
        self.safety = safety
        self.sample: PlantSample | None = None
        self.motion = ArmMotion((0.0,) * 6)
        self.gripper = GripperTarget()
        self.flange_from_tcp = IDENTITY
        self.tcp_offset: tuple[float, ...] = (0.0,) * 6
        self.payload_kg = 0.0
        self.payload_cog: tuple[float, ...] = (0.0,) * 3
        self.payload_inertia: tuple[float, ...] = (0.0,) * 6
        self.wrench_bias: tuple[float, ...] = (0.0,) * 6
        self._plant = plant
        self._could_move = False
        self._needs_resync = False
        self._was_colliding = False

    def sense(self, now_ns: int) -> None:
        """Take the newest measurement and latch what it demands."""
        sample = self._plant.read(now_ns)
        fresh = sample is not None and (
            s_from_ns(now_ns - sample.stamp_ns) <= PLANT_SILENCE_S
        )
        if sample is None or not fresh:
            if self.sample is not None:
                self._needs_resync = True
                self.safety.stop_protectively("the world gives no state", now_ns)
            return
        if self.sample is None:
            self._boot(sample)
        elif sample.tick < self.sample.tick:
            self._needs_resync = True
            self.safety.stop_protectively("the world has restarted", now_ns)
        self.sample = sample
        self._watch_contact(sample, now_ns)
        self._watch_stops()

    def act(self, now_ns: int) -> None:
        """Advance the commanded motion and hand it to the plant."""
        if self.sample is None:
            return
        try:
            self.motion.step()
        except MOTION_FAULTS as fault:
            self.stop_protectively(str(fault), now_ns)
        self._resync_at_rest()
        self._plant.write(
            PlantTarget(
                stamp_ns=now_ns,
                q=self.motion.q,
                qd=self.motion.qd,
                gripper=self.gripper,
                payload_kg=self.payload_kg,
                brakes_released=self.safety.robot_mode is RobotMode.RUNNING,
            )
        )

    def stop_protectively(self, reason: str, now_ns: int) -> None:
        """Latch a protective stop and ramp to rest."""
        self.safety.stop_protectively(reason, now_ns)
        self._watch_stops()

    def unlock(self, now_ns: int) -> bool:
        """Unlock a protective stop; refused while its cause or its wait lasts."""
        sample = self.sample
        if sample is None or s_from_ns(now_ns - sample.stamp_ns) > PLANT_SILENCE_S:
            return False
        return self.motion.is_resting and self.safety.unlock(now_ns)

    def set_tcp(self, offset: Sequence[float]) -> None:
        """Set the active tool, a pose in the flange frame."""
        self.tcp_offset = tuple(offset)
        self.flange_from_tcp = make_frame(offset)

    def compute_tcp(self, q: Sequence[float]) -> Frame:
        """Return `base_from_tcp` for joint positions [rad]."""
        return compose(compute_flange(q), self.flange_from_tcp)

    def compute_joints(
        self, base_from_tcp: Frame, q_near: Sequence[float] | None = None
    ) -> Joints | None:
        """Return the joint position of a tool pose nearest to `q_near` or the arm."""
        flange = compose(base_from_tcp, invert(self.flange_from_tcp))
        return compute_joints(flange, self.motion.q if q_near is None else q_near)

    def compute_tcp_wrench(self, base_from_tcp: Frame) -> tuple[float, ...]:
        """Return force and torque at the TCP, base axes, less payload and zero."""
        if self.sample is None:
            return (0.0,) * 6
        raw, bias = self._compute_free_wrench(), self.wrench_bias
        fx, fy, fz, mx, my, mz = (a - b for a, b in zip(raw, bias, strict=True))
        flange = compute_flange(self.sample.q).origin
        tcp = base_from_tcp.origin
        arm: Vec3 = (tcp[0] - flange[0], tcp[1] - flange[1], tcp[2] - flange[2])
        lever = compute_cross(arm, (fx, fy, fz))
        return (fx, fy, fz, mx - lever[0], my - lever[1], mz - lever[2])

    def zero_wrench(self) -> None:
        """Take the present force and torque as zero."""
        if self.sample is not None:
            self.wrench_bias = self._compute_free_wrench()

    def _compute_free_wrench(self) -> tuple[float, ...]:
        """Return the wrench at the flange without the weight of the set payload."""
        if self.sample is None:
            return (0.0,) * 6
        fx, fy, fz, mx, my, mz = self.sample.flange_wrench
        weight = GRAVITY_MPS2 * self.payload_kg
        x, y, z = self.payload_cog
        cog = rotate(compute_flange(self.sample.q).axes, (x, y, z))
        # Torque of (0, 0, -weight) about the flange, taken off.
        return (fx, fy, fz + weight, mx + cog[1] * weight, my - cog[0] * weight, mz)

    def is_within_limits(self, q: Joints | None) -> bool:
        """Tell whether a joint position is allowed."""
        return q is not None and all(
            math.isfinite(angle) and abs(angle) <= JOINT_LIMIT_RAD for angle in q
        )

    def _boot(self, sample: PlantSample) -> None:
        self.motion.reset(sample.q)
        before = self._plant.recall_gripper()
        self.gripper = before or GripperTarget(position=sample.gripper_position)
        self.safety.finish_boot()

    def _watch_contact(self, sample: PlantSample, now_ns: int) -> None:
        # An arm that was stopped by a collision still touches what it hit; only a new
        # contact stops it again, or it could never be driven clear.
        if sample.collision and not self._was_colliding:
            self.safety.stop_protectively("collision", now_ns)
        self._was_colliding = sample.collision
        gap = max(abs(a - b) for a, b in zip(sample.q, self.motion.q, strict=True))
        if gap > DEVIATION_LIMIT_RAD and not self._needs_resync:
            self.safety.stop_protectively(
                f"position deviates from path by {gap:.2f} rad", now_ns
            )

    def _watch_stops(self) -> None:
        may_move = self.safety.may_move
        if self._could_move and not may_move:
            self.motion.stop(STOP_DECELERATION)
            self._needs_resync = True
        self._could_move = may_move

    def _resync_at_rest(self) -> None:
        """Adopt the measured position after a stop, so that nothing pushes on."""
        if not self._needs_resync or not self.motion.is_resting or self.sample is None:
            return
        if max(map(abs, self.sample.qd)) < _STANDSTILL_RADPS:
            self.motion.reset(self.sample.q)
            self._needs_resync = False
            if self.safety.is_emergency_stopped:
                self.safety.power_off()
