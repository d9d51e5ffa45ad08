"""A scripted grasp that knows where every part is, to judge the physics by.

It drives a scene directly, without processes: closed-form inverse kinematics, straight
joint ramps, the gripper's own speed.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.kinematics.inverse import solve_ik
from sim2real.scene.build import TIMESTEP_S, Scene
from sim2real.scene.clutter import is_in_bin
from sim2real.scene.gripper import (
    MAX_APERTURE_M,
    SPEED_MAX_MPS,
    compute_control,
    compute_torque_limit_nm,
)
from sim2real.scene.robot import compute_feed_forward

_SAMPLES = 400


@dataclass(frozen=True, eq=False)
class OracleGrasp:
    part: int
    base_from_tcp: Pose
    q: Vector
    width_m: float


def plan_oracle_grasp(scene: Scene) -> OracleGrasp | None:
    """Highest part first, every yaw, narrowest first; what collides is left out."""
    scratch = mujoco.MjData(scene.model)
    tops = []
    for index in range(len(scene.parts)):
        if is_in_bin(scene, index):
            points = surface_points(scene, index)
            tops.append((-points[:, 2].max(), index, points))
    for _, index, points in sorted(tops, key=lambda top: top[:2]):
        for grasp in _grasps_of(scene, index, points):
            if _is_free(scene, scratch, grasp):
                return grasp
    return None


def surface_points(scene: Scene, index: int) -> Vector:
    """Points on a part's surface, in base."""
    model, data = scene.model, scene.data
    rng = np.random.default_rng(0)
    clouds = []
    for geom in scene.part_handles.geoms[index]:
        directions = rng.normal(size=(_SAMPLES, 3))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        local = _support(model, int(geom), directions)
        rotation = data.geom_xmat[geom].reshape(3, 3)
        clouds.append(local @ rotation.T + data.geom_xpos[geom])
    return np.vstack(clouds)


def _support(model: mujoco.MjModel, geom: int, directions: Vector) -> Vector:
    size, kind = model.geom_size[geom], model.geom_type[geom]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return np.asarray(np.sign(directions) * size)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        start = model.mesh_vertadr[mesh]
        vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
        return np.asarray(vertices[(directions @ vertices.T).argmax(1)], dtype=float)
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        ends = np.zeros_like(directions)
        ends[:, 2] = np.sign(directions[:, 2]) * size[1]
        return np.asarray(ends + size[0] * directions)
    rims = directions.copy()
    rims[:, :2] *= size[0] / np.linalg.norm(rims[:, :2], axis=1)[:, None]
    rims[:, 2] = np.sign(directions[:, 2]) * size[1]
    return rims


def _grasps_of(scene: Scene, index: int, points: Vector) -> list[OracleGrasp]:
    floor_z = float(scene.geometry.base_from_bin.position_m[2])
    top, bottom = float(points[:, 2].max()), float(points[:, 2].min())
    z = max(floor_z + 0.0075, bottom + 0.008, top - 0.030)
    grasps = []
    for yaw in np.linspace(-np.pi / 2, np.pi / 2, 24, endpoint=False):
        axis = np.array([np.cos(yaw), np.sin(yaw)])
        spread = points[:, :2] @ axis
        width = float(np.ptp(spread))
        if width > MAX_APERTURE_M - 0.008:
            continue
        side = points[:, :2] @ np.array([-axis[1], axis[0]])
        mid, across = (spread.max() + spread.min()) / 2, (side.max() + side.min()) / 2
        centre = mid * axis + across * np.array([-axis[1], axis[0]])
        pose = Pose.tool_down([float(centre[0]), float(centre[1]), z], float(yaw))
        q = solve_ik(
            pose, scene.geometry.flange_from_tcp, np.array(scene.geometry.home_q_rad)
        )
        if q is not None:
            grasps.append(OracleGrasp(index, pose, q, width))
    return sorted(grasps, key=lambda grasp: grasp.width_m)


def _is_free(scene: Scene, scratch: mujoco.MjData, grasp: OracleGrasp) -> bool:
    assert scene.arm is not None
    # Only the arm differs from the scene, with fingers as open as they start.
    scratch.qpos[:] = scene.data.qpos
    scratch.qpos[scene.arm.qpos] = grasp.q
    mujoco.mj_kinematics(scene.model, scratch)
    mujoco.mj_comPos(scene.model, scratch)
    mujoco.mj_collision(scene.model, scratch)
    arm = set(scene.arm.geoms.tolist())
    pairs = scratch.contact.geom
    # Fingers touch each other's links in some poses; only foreign bodies matter.
    return not any((int(a) in arm) != (int(b) in arm) for a, b in pairs)


class OracleArm:
    """Moves the arm of a scene along joint ramps while the physics runs."""

    def __init__(self, scene: Scene, force_ratio: float = 0.4) -> None:
        assert scene.arm is not None
        self.scene, self.arm = scene, scene.arm
        limit = compute_torque_limit_nm(force_ratio)
        scene.model.actuator_forcerange[self.arm.gripper_actuator] = (-limit, limit)
        self._aperture_m = MAX_APERTURE_M

    def move(self, q_target: Vector, seconds: float, aperture_m: float) -> None:
        data = self.scene.data
        start = np.array(data.ctrl[self.arm.actuators])
        steps = max(1, round(seconds / TIMESTEP_S))
        previous = start
        for step in range(1, steps + 1):
            s = step / steps
            q = start + (q_target - start) * (10 * s**3 - 15 * s**4 + 6 * s**5)
            speed = (q - previous) / TIMESTEP_S
            data.ctrl[self.arm.actuators] = q + compute_feed_forward(speed)
            self._drive(aperture_m)
            mujoco.mj_step(self.scene.model, data)
            previous = q
        data.ctrl[self.arm.actuators] = q_target

    def _drive(self, aperture_m: float) -> None:
        step = SPEED_MAX_MPS * TIMESTEP_S
        self._aperture_m += float(np.clip(aperture_m - self._aperture_m, -step, step))
        control = compute_control(self._aperture_m)
        self.scene.data.ctrl[self.arm.gripper_actuator] = control

    def lift_height(self, grasp: OracleGrasp) -> float:
        """Approach, close, lift by 0.15 m, hold for a second: how far it rose."""
        scene = self.scene
        part = scene.part_handles.bodies[grasp.part]
        before = float(scene.data.xpos[part][2])
        high = _raised(scene, grasp, 0.15)
        self.move(high, 1.2, MAX_APERTURE_M)
        self.move(grasp.q, 0.6, MAX_APERTURE_M)
        self.move(grasp.q, 0.7, 0.0)
        self.move(high, 0.7, 0.0)
        self.move(high, 1.0, 0.0)
        return float(scene.data.xpos[part][2]) - before


def _raised(scene: Scene, grasp: OracleGrasp, height_m: float) -> Vector:
    pose = grasp.base_from_tcp
    above = Pose(pose.position_m + np.array([0.0, 0.0, height_m]), pose.quat_wxyz)
    q = solve_ik(above, scene.geometry.flange_from_tcp, grasp.q)
    assert q is not None
    return q
