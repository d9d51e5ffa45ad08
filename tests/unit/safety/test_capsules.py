"""The capsules of arm and gripper enclose what they stand for."""

from typing import Any

import mujoco
import numpy as np
import pytest

from ops.settings import load_settings
from safety.capsules import Surroundings, make_surroundings
from safety.home import find_home_conflict
from safety.zones import BoxZone, CylinderZone, HalfSpaceZone
from sim2real.scene.gripper import compute_driver_rad
from sim2real.scene.robot import ARM_JOINTS, GRIPPER_PREFIX, make_robot_spec
from tests.fakes.cell_scene import shipped_geometry
from tests.fakes.motion_oracle import compute_frames
from tests.unit.ops.test_settings import SHIPPED

SETTINGS = load_settings(SHIPPED)
TOOL = SETTINGS.arm.flange_from_tcp.pose()
HOME_Q = np.array(SETTINGS.arm.home_q_rad)
SLACK_M = 0.002


@pytest.fixture(scope="module")
def robot() -> Any:
    return make_robot_spec(shipped_geometry(), full_visuals=True).compile()


@pytest.fixture(scope="module")
def around() -> Surroundings:
    return make_surroundings(SETTINGS.safety, TOOL)[0]


def vertices_of(model: Any, data: Any, wanted: Any) -> Any:
    """Return corners of all wanted geoms in base, shape (n, 3) [m]."""
    points = []
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        if not wanted(body):
            continue
        corners = _corners_of(model, geom)
        turn = data.geom_xmat[geom].reshape(3, 3)
        points.append(corners @ turn.T + data.geom_xpos[geom])
    return np.vstack(points)


def _corners_of(model: Any, geom: int) -> Any:
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        return model.mesh_vert[first : first + count]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        return signs * size
    angles = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    ring = np.column_stack([np.cos(angles), np.sin(angles), 0 * angles]) * size[0]
    top = np.array([0.0, 0.0, size[1]])
    rounded = np.array([0.0, 0.0, size[0]]) * (kind == mujoco.mjtGeom.mjGEOM_CAPSULE)
    return np.vstack([ring + top, ring - top, top + rounded, -top - rounded])


def depth_outside(points: Any, around: Surroundings, q: Any) -> Any:
    """Return how far each point lies outside of all capsules [m]."""
    frames = compute_frames(q)
    nearest = np.full(len(points), np.inf)
    for frame, (start, end), radius in zip(
        around.frame, around.ends, around.radius, strict=True
    ):
        if radius <= 0.0:
            continue
        place = frames[frame]
        a = place[:3, :3] @ start + place[:3, 3]
        b = place[:3, :3] @ end + place[:3, 3]
        way = b - a
        t = np.clip((points - a) @ way / max(way @ way, 1e-12), 0.0, 1.0)[:, None]
        nearest = np.minimum(
            nearest, np.linalg.norm(points - a - t * way, axis=1) - radius
        )
    return nearest


def pose_robot(model: Any, q: Any, aperture_m: float) -> Any:
    data = mujoco.MjData(model)
    for name, angle in zip(ARM_JOINTS, q, strict=True):
        data.qpos[model.joint(name).qposadr[0]] = angle
    driver = compute_driver_rad(aperture_m)
    for side in ("right", "left"):
        for joint, angle in (
            ("driver", driver),
            ("spring_link", driver),
            ("follower", -driver),
        ):
            name = f"{GRIPPER_PREFIX}{side}_{joint}_joint"
            data.qpos[model.joint(name).qposadr[0]] = angle
    mujoco.mj_kinematics(model, data)
    return data


@pytest.mark.parametrize("seed", range(6))
def test_every_corner_of_the_arm_lies_in_a_capsule(
    robot: Any, around: Surroundings, seed: int
) -> None:
    q = np.random.default_rng(seed).uniform(-3.0, 3.0, 6)
    data = pose_robot(robot, q, 0.085)

    points = vertices_of(robot, data, lambda body: "/" not in body and body != "base")

    assert depth_outside(points, around, q).max() <= SLACK_M


@pytest.mark.parametrize("aperture_m", [0.0, 0.04, 0.085])
def test_every_corner_of_the_gripper_lies_in_a_capsule(
    robot: Any, around: Surroundings, aperture_m: float
) -> None:
    data = pose_robot(robot, HOME_Q, aperture_m)

    points = vertices_of(robot, data, lambda body: body.startswith(GRIPPER_PREFIX))

    assert depth_outside(points, around, HOME_Q).max() <= SLACK_M


def test_no_point_of_a_capsule_is_further_from_a_joint_than_its_reach(
    around: Surroundings,
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        frames = compute_frames(rng.uniform(-3.0, 3.0, 6))
        for capsule, frame in enumerate(around.frame):
            place = frames[frame]
            ends = around.ends[capsule] @ place[:3, :3].T + place[:3, 3]
            for joint in range(frame):
                axis = frames[joint]
                away = np.linalg.norm(ends - axis[:3, 3], axis=1).max()
                reach = around.reach[capsule, joint]
                assert away + around.radius[capsule] <= reach + 1e-9


def test_the_shipped_home_is_clear_of_the_shipped_zones() -> None:
    assert find_home_conflict(HOME_Q, *make_surroundings(SETTINGS.safety, TOOL)) == ""


@pytest.mark.parametrize(
    "zone",
    [
        BoxZone(
            name="in_the_way",
            kind="box",
            keeps_out=("tool",),
            centre_m=(0.22, 0.46, 0.4),
            half_m=(0.1, 0.1, 0.1),
        ),
        CylinderZone(
            name="in_the_way",
            kind="cylinder",
            keeps_out=("tool",),
            centre_m=(0.22, 0.46, 0.4),
            radius_m=0.1,
            half_height_m=0.1,
        ),
        HalfSpaceZone(
            name="in_the_way",
            kind="half_space",
            keeps_out=("tool",),
            point_m=(0.0, 0.0, 0.6),
            normal=(0.0, 0.0, 1.0),
        ),
    ],
    ids=lambda zone: zone.kind,
)
def test_a_zone_around_the_home_place_is_found_and_named(zone: Any) -> None:
    config = SETTINGS.safety.model_copy(update={"zones": (zone,)})

    conflict = find_home_conflict(HOME_Q, *make_surroundings(config, TOOL))

    assert "zone in_the_way" in conflict
    assert "overlap by" in conflict
