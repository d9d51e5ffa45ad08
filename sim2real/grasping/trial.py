"""One simulated grasp in a settled scene, from pregrasp to the place above the outfeed.

The arm is put at the pregrasp pose directly; from there on everything is physics, with
the paths, speeds and gripper of the real cycle. Only the way down is faster than there,
by `motion.reach_speed_ratio`: what was trained and calibrated on trials met them so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import mujoco
import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.kinematics import solve_ik, track_ik
from cell.supervisor.attempt_record import AttemptPhase
from sim2real.grasping.contacts import ContactWatch
from sim2real.grasping.profiles import (
    MotionLimits,
    compute_joint_path,
    compute_profile,
)
from sim2real.scene.build import TIMESTEP_S, ArmHandles, Scene
from sim2real.scene.gripper import (
    SPEED_MAX_MPS,
    compute_aperture_m,
    compute_control,
    compute_torque_limit_nm,
)
from sim2real.scene.robot import compute_feed_forward

_KNOTS = 13
_CLOSE_TIME_MAX_S = 0.7
_GRIP_TIME_S = 0.12
_HOLD_S = 0.1
_LIFTED_M = 0.05
_EMPTY_APERTURE_M = 0.004
_CHECK_EVERY = 4
PROBE_EVERY = 10
"""Ticks between two looks of a probe: the 50 Hz of the supervisor."""


class Outcome(StrEnum):
    """How a trial ended."""

    SUCCESS = "success"
    MISSED = "missed"
    LOST = "lost"
    COLLIDED = "collided"
    DOUBLE = "double"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class TrialSettings:
    """What a trial takes from the configuration.

    Attributes:
        linear: limits along straight tool paths [m].
        transfer: limits of the joint move with the part in the fingers [rad].
        retreat_height_m: how far the part is lifted before the transfer.
        force_ratio: 0..1 of the gripper's force.
        joint_min_rad: lower joint limits.
        joint_max_rad: upper joint limits.
    """

    linear: MotionLimits
    transfer: MotionLimits
    retreat_height_m: float
    force_ratio: float
    joint_min_rad: tuple[float, ...]
    joint_max_rad: tuple[float, ...]


FindPlace = Callable[[Vector, Pose], Vector | None]
"""Says where the part goes: joint position above the place, from the joint position
after the lift and the pose of the grasp; None where it cannot get there."""


class TrialProbe(Protocol):
    """Looks on while a trial runs; must not change anything."""

    def look(self, phase: AttemptPhase) -> None:
        """Take a sample of the scene's present state."""
        ...


class GraspTrial:
    """Runs trials in one scene; each starts from the same settled state."""

    def __init__(
        self,
        scene: Scene,
        settings: TrialSettings,
        finger_postures: "FingerPostures",
        find_place: FindPlace | None = None,
    ) -> None:
        """Remember the scene's present state as the start of every trial.

        Args:
            scene: with settled parts.
            settings: of the motion.
            finger_postures: of the gripper in this scene.
            find_place: where the part goes; home where nobody says.
        """
        if scene.arm is None:
            raise ValueError("trials need a scene with an arm")
        self._scene, self._arm = scene, scene.arm
        self._settings = settings
        self._postures = finger_postures
        self._find_place = find_place
        self._model = scene.model
        self._settled = mujoco.MjData(scene.model)
        mujoco.mj_copyData(self._settled, scene.model, scene.data)
        limit_nm = compute_torque_limit_nm(settings.force_ratio)
        actuator = self._arm.gripper_actuator
        self._model.actuator_forcerange[actuator] = (-limit_nm, limit_nm)
        self._heights_before = self._part_heights(self._settled)
        self._probe: TrialProbe | None = None
        self._phase = AttemptPhase.APPROACH
        self._ticks = 0

    def run(
        self,
        base_from_pregrasp: Pose,
        base_from_grasp: Pose,
        aperture_m: float,
        probe: TrialProbe | None = None,
    ) -> Outcome:
        """Carry out one grasp; the scene's state is put back afterwards.

        With a probe, a grasp that lifted nothing goes on for as long as the fingers
        seem to hold something, for this is all that a cell would know.
        """
        try:
            return self.run_for_good(
                base_from_pregrasp, base_from_grasp, aperture_m, probe
            )
        finally:
            mujoco.mj_copyData(self._scene.data, self._model, self._settled)

    def run_for_good(
        self,
        base_from_pregrasp: Pose,
        base_from_grasp: Pose,
        aperture_m: float,
        probe: TrialProbe | None = None,
    ) -> Outcome:
        """Carry out one grasp; the scene stays as it was left."""
        self._probe, self._ticks = probe, 0
        path = self._plan(base_from_pregrasp, base_from_grasp)
        if path is None:
            return Outcome.UNREACHABLE
        return self._carry_out(path, aperture_m)

    def list_lifted(self) -> list[int]:
        """Return which parts are higher than before, by some centimetres."""
        return self._lifted()

    def _carry_out(self, path: "_Path", aperture_m: float) -> Outcome:
        self._teleport(path.down[0], aperture_m)
        self._phase = AttemptPhase.APPROACH
        watch = ContactWatch(self._scene, self._arm)
        if not self._follow(path.down, watch):
            return Outcome.COLLIDED
        self._phase = AttemptPhase.CLOSING
        self._close(aperture_m)
        if self._aperture_m() < _EMPTY_APERTURE_M:
            return Outcome.MISSED
        self._phase = AttemptPhase.LIFT
        if not self._follow(path.up, watch):
            return Outcome.COLLIDED
        if not self._lifted() and not self._seems_to_hold():
            return Outcome.LOST if watch.has_touched_part else Outcome.MISSED
        self._phase = AttemptPhase.TRANSFER
        self._follow(path.transfer, None)
        self._step(round(_HOLD_S / TIMESTEP_S))
        lifted = self._lifted()
        if not lifted or self._aperture_m() < _EMPTY_APERTURE_M:
            return Outcome.LOST
        return Outcome.DOUBLE if len(lifted) > 1 else Outcome.SUCCESS

    def _seems_to_hold(self) -> bool:
        return self._probe is not None and self._aperture_m() >= _EMPTY_APERTURE_M

    def _plan(self, base_from_pregrasp: Pose, base_from_grasp: Pose) -> "_Path | None":
        settings, geometry = self._settings, self._scene.geometry
        start = solve_ik(
            base_from_pregrasp,
            geometry.flange_from_tcp,
            np.array(geometry.home_q_rad),
            np.array(settings.joint_min_rad),
            np.array(settings.joint_max_rad),
        )
        if start is None:
            return None
        down = self._straight(start, base_from_pregrasp, base_from_grasp)
        if down is None:
            return None
        lift = np.array([0.0, 0.0, settings.retreat_height_m])
        above = Pose(base_from_grasp.position_m + lift, base_from_grasp.quat_wxyz)
        up = self._straight(down[-1], base_from_grasp, above)
        if up is None:
            return None
        target: Vector | None = np.array(geometry.home_q_rad)
        if self._find_place is not None:
            target = self._find_place(up[-1], base_from_grasp)
        if target is None:
            return None
        transfer = compute_joint_path(up[-1], target, settings.transfer, TIMESTEP_S)
        return _Path(down, up, transfer)

    def _straight(self, q_start: Vector, start: Pose, end: Pose) -> Vector | None:
        """Return joint setpoints along a straight line, shape (ticks, 6)."""
        tool = self._scene.geometry.flange_from_tcp
        knots = [q_start]
        ratios = np.linspace(0.0, 1.0, _KNOTS)
        step = end.position_m - start.position_m
        for ratio in ratios[1:]:
            target = Pose(start.position_m + ratio * step, end.quat_wxyz)
            q, distance_m, _ = track_ik(target, tool, knots[-1], 8)
            if distance_m > 1e-4:
                return None
            knots.append(q)
        length_m = float(np.linalg.norm(step))
        along = compute_profile(length_m, self._settings.linear, TIMESTEP_S) / length_m
        table = np.array(knots)
        return np.column_stack(
            [np.interp(along, ratios, table[:, joint]) for joint in range(6)]
        )

    def _teleport(self, q: Vector, aperture_m: float) -> None:
        data, arm = self._scene.data, self._arm
        data.qpos[arm.qpos] = q
        data.qvel[arm.qvel] = 0.0
        data.ctrl[arm.actuators] = q
        self._postures.apply(data, aperture_m)
        data.ctrl[arm.gripper_actuator] = compute_control(aperture_m)

    def _follow(self, path: Vector, watch: ContactWatch | None) -> bool:
        """Send setpoints one by one; False as soon as something is hit."""
        data, arm = self._scene.data, self._arm
        speeds = np.diff(path, axis=0, prepend=path[:1]) / TIMESTEP_S
        controls = path + compute_feed_forward(speeds)
        for tick, control in enumerate(controls):
            data.ctrl[arm.actuators] = control
            self._advance()
            if watch is not None and tick % _CHECK_EVERY == 0:
                watch.look()
                if watch.has_collided:
                    return False
        data.ctrl[arm.actuators] = path[-1]
        return True

    def _close(self, aperture_m: float) -> None:
        """Close at full speed until the fingers stand still, then let the grip set."""
        data, arm = self._scene.data, self._arm
        wanted_m, still = aperture_m, 0
        for _ in range(round(_CLOSE_TIME_MAX_S / TIMESTEP_S)):
            wanted_m = max(0.0, wanted_m - SPEED_MAX_MPS * TIMESTEP_S)
            data.ctrl[arm.gripper_actuator] = compute_control(wanted_m)
            self._advance()
            is_still = wanted_m < self._aperture_m() - 0.003 or wanted_m == 0.0
            is_still = is_still and abs(float(data.qvel[arm.driver_qvel])) < 0.05
            still = still + 1 if is_still else 0
            if still > 15:
                break
        data.ctrl[arm.gripper_actuator] = compute_control(0.0)
        self._step(round(_GRIP_TIME_S / TIMESTEP_S))

    def _step(self, ticks: int) -> None:
        for _ in range(ticks):
            self._advance()

    def _advance(self) -> None:
        mujoco.mj_step(self._model, self._scene.data)
        self._ticks += 1
        if self._probe is not None and self._ticks % PROBE_EVERY == 0:
            self._probe.look(self._phase)

    def _aperture_m(self) -> float:
        return compute_aperture_m(float(self._scene.data.qpos[self._arm.driver_qpos]))

    def _part_heights(self, data: mujoco.MjData) -> Vector:
        return np.array(data.qpos[self._scene.part_handles.qpos + 2])

    def _lifted(self) -> list[int]:
        risen = self._part_heights(self._scene.data) - self._heights_before
        return [int(i) for i in np.flatnonzero(risen > _LIFTED_M)]


@dataclass(frozen=True, eq=False)
class _Path:
    """Joint setpoints of the three moves, shape (ticks, 6) each."""

    down: Vector
    up: Vector
    transfer: Vector


class FingerPostures:
    """Joint positions of the gripper's linkage for some openings.

    The linkage is a closed chain, so its joints are found by letting it settle once.
    """

    def __init__(self, scene: Scene, apertures_m: tuple[float, ...]) -> None:
        """Settle the fingers of `scene`, whose parts are parked, at each opening."""
        if scene.arm is None:
            raise ValueError("finger postures need a scene with an arm")
        arm, model = scene.arm, scene.model
        self._joints = _finger_qpos(model, arm)
        self._postures: dict[float, Vector] = {}
        data = mujoco.MjData(model)
        for aperture_m in apertures_m:
            mujoco.mj_resetData(model, data)
            data.qpos[arm.qpos] = scene.geometry.home_q_rad
            data.ctrl[arm.actuators] = scene.geometry.home_q_rad
            data.ctrl[arm.gripper_actuator] = compute_control(aperture_m)
            for _ in range(400):
                mujoco.mj_step(model, data)
            self._postures[aperture_m] = np.array(data.qpos[self._joints])

    def apply(self, data: mujoco.MjData, aperture_m: float) -> None:
        """Write the nearest known posture into `data`, at rest."""
        nearest = min(self._postures, key=lambda known: abs(known - aperture_m))
        data.qpos[self._joints] = self._postures[nearest]
        data.qvel[self._joints] = 0.0


def _finger_qpos(model: mujoco.MjModel, arm: ArmHandles) -> np.ndarray:
    # Arm and gripper come first in the tree and have single-axis joints only, so
    # positions and velocities share their addresses.
    last = int(arm.qpos.max())
    names = range(model.njnt)
    found = [
        int(model.jnt_qposadr[j])
        for j in names
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE
        and model.jnt_qposadr[j] > last
    ]
    return np.array(found, dtype=np.int32)
