import mujoco
import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.kinematics.arm import (
    compute_base_from_flange,
    compute_base_from_tcp,
    compute_smallest_singular_value,
)
from cell.kinematics.inverse import solve_ik
from sim2real.scene.build import Scene, build_scene, is_parked, park_part, place_part
from sim2real.scene.gripper import (
    MAX_APERTURE_M,
    compute_aperture_m,
    compute_control,
    compute_driver_rad,
    compute_tip_z_m,
)
from sim2real.scene.handles import ArmHandles
from sim2real.scene.parts import sample_parts
from tests.fakes.cell_scene import make_scene, shipped_geometry


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(parts=4)


def arm_of(scene: Scene) -> ArmHandles:
    assert scene.arm is not None
    return scene.arm


def test_the_flange_is_where_the_kinematics_of_the_controller_say(scene: Scene) -> None:
    arm, rng = arm_of(scene), np.random.default_rng(0)

    for _ in range(50):
        q = rng.uniform(-np.pi, np.pi, 6)
        set_joints(scene, q)

        expected = compute_base_from_flange(q).as_matrix()
        assert site_matrix(scene, arm.flange_site) == pytest.approx(expected, abs=1e-9)


def test_the_tool_is_where_the_configuration_says(scene: Scene) -> None:
    q = np.array(scene.geometry.home_q_rad)

    set_joints(scene, q)

    expected = compute_base_from_tcp(q, scene.geometry.flange_from_tcp).as_matrix()
    actual = site_matrix(scene, arm_of(scene).tcp_site)
    assert actual == pytest.approx(expected, abs=1e-9)


def test_home_points_straight_down_above_the_outfeed_with_the_elbow_up(
    scene: Scene,
) -> None:
    q = np.array(scene.geometry.home_q_rad)
    set_joints(scene, q)

    tool = site_matrix(scene, arm_of(scene).tcp_site)

    plate = scene.geometry.base_from_outfeed.position_m
    assert tool[:3, 2] == pytest.approx([0.0, 0.0, -1.0], abs=1e-3)
    assert tool[:2, 3] == pytest.approx(plate[:2], abs=2e-3)
    assert 0.15 < tool[2, 3] - plate[2] < 0.35
    assert scene.data.xpos[scene.model.body("forearm_link").id][2] > 0.5


def test_home_touches_nothing(scene: Scene) -> None:
    set_joints(scene, np.array(scene.geometry.home_q_rad))
    mujoco.mj_collision(scene.model, scene.data)

    assert scene.data.ncon == 0


def test_the_fingers_close_along_the_tools_x_axis(scene: Scene) -> None:
    arm = arm_of(scene)
    set_joints(scene, np.array(scene.geometry.home_q_rad))

    left = scene.data.geom_xpos[arm.left_pads].mean(axis=0)
    right = scene.data.geom_xpos[arm.right_pads].mean(axis=0)
    tool = site_matrix(scene, arm.tcp_site)
    across = (right - left) / np.linalg.norm(right - left)

    assert abs(across @ tool[:3, 0]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("aperture_m", [0.0, 0.01, 0.025, 0.04, 0.055, 0.07, 0.0852])
def test_measured_finger_opening_matches_the_table(aperture_m: float) -> None:
    scene = build_scene([], shipped_geometry())
    arm = arm_of(scene)
    scene.model.opt.gravity[:] = 0.0
    scene.data.ctrl[arm.gripper_actuator] = compute_control(aperture_m)

    for _ in range(1500):
        mujoco.mj_step(scene.model, scene.data)

    flange = site_matrix(scene, arm.flange_site)
    left, right = (pad_corners(scene, arm, side) for side in ("left", "right"))
    gap = (
        np.abs(right @ flange[:3, 0] - flange[:3, 3] @ flange[:3, 0]).min()
        + np.abs(left @ flange[:3, 0] - flange[:3, 3] @ flange[:3, 0]).min()
    )
    tip = ((np.vstack([left, right]) - flange[:3, 3]) @ flange[:3, 2]).max()
    assert gap == pytest.approx(aperture_m, abs=8e-4)
    assert tip == pytest.approx(compute_tip_z_m(aperture_m), abs=8e-4)
    driver = float(scene.data.qpos[arm.driver_qpos])
    assert compute_aperture_m(driver) == pytest.approx(aperture_m, abs=8e-4)


def test_opening_and_driver_angle_convert_back_and_forth() -> None:
    for aperture_m in np.linspace(0.0, MAX_APERTURE_M, 40):
        angle = compute_driver_rad(float(aperture_m))

        assert compute_aperture_m(angle) == pytest.approx(aperture_m, abs=1e-9)


def test_the_tool_centre_lies_five_millimetres_above_the_closed_fingertips() -> None:
    height = float(shipped_geometry().flange_from_tcp.position_m[2])

    for aperture_m in (0.0, 0.02, 0.04):
        assert 0.003 <= compute_tip_z_m(aperture_m) - height <= 0.006


def test_every_corner_of_the_bin_is_reached_tool_down_at_any_yaw_with_margin() -> None:
    geometry = shipped_geometry()
    home = np.array(geometry.home_q_rad)
    half = np.array(geometry.bin_floor_size_m) / 2

    for corner in ((-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)):
        for height in (0.006, 0.15):
            place = geometry.base_from_bin.apply(np.array([*(half * corner), height]))
            for yaw in np.linspace(-np.pi / 2, np.pi / 2, 7):
                pose = Pose.tool_down(place.tolist(), float(yaw))
                q = solve_ik(pose, geometry.flange_from_tcp, home)

                assert q is not None
                sigma = compute_smallest_singular_value(q, geometry.flange_from_tcp)
                assert sigma > 0.15


def test_no_move_between_home_and_the_bin_touches_a_fixture_or_the_arm() -> None:
    scene = build_scene([], shipped_geometry())
    geometry = scene.geometry
    home = np.array(geometry.home_q_rad)
    half = np.array(geometry.bin_floor_size_m) / 2

    for corner in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        for yaw in (-1.5, -0.7, 0.0, 0.7, 1.5):
            place = geometry.base_from_bin.apply(np.array([*(half * corner), 0.13]))
            q = solve_ik(
                Pose.tool_down(place.tolist(), yaw), geometry.flange_from_tcp, home
            )
            assert q is not None
            for share in np.linspace(0.0, 1.0, 25):
                set_joints(scene, home + share * (q - home))
                mujoco.mj_collision(scene.model, scene.data)
                assert scene.data.ncon == 0, (corner, yaw, share)


def test_cameras_look_where_the_configuration_says(scene: Scene) -> None:
    q = np.array(scene.geometry.home_q_rad)
    set_joints(scene, q)
    wrist = scene.geometry.wrist
    assert wrist is not None

    for name, expected in (
        ("overhead", scene.geometry.overhead.parent_from_camera),
        ("wrist", compute_base_from_flange(q) @ wrist.parent_from_camera),
    ):
        camera = scene.cameras[name]
        axes = scene.data.cam_xmat[camera].reshape(3, 3)
        # MuJoCo's camera looks along -z with y up, the optical frame along z, y down.
        optical = axes @ np.diag([1.0, -1.0, -1.0])
        assert optical == pytest.approx(expected.as_matrix()[:3, :3], abs=1e-9)
        assert scene.data.cam_xpos[camera] == pytest.approx(
            expected.position_m, abs=1e-9
        )


def test_pictures_and_fast_cameras_share_one_state_vector() -> None:
    parts = sample_parts(3, np.random.default_rng(0))
    geometry = shipped_geometry()

    fast = build_scene(parts, geometry)
    full = build_scene(parts, geometry, visual="full")

    assert fast.model.nq == full.model.nq
    assert fast.part_handles.qpos.tolist() == full.part_handles.qpos.tolist()


def test_a_scene_without_an_arm_has_only_the_overhead_camera() -> None:
    scene = build_scene([], shipped_geometry(), with_arm=False)

    assert scene.arm is None
    assert list(scene.cameras) == ["overhead"]


def test_contact_settings_are_those_that_hold_a_grasp(scene: Scene) -> None:
    option = scene.model.opt

    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert option.impratio == 10.0
    assert option.timestep == 0.002
    assert option.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def test_a_parked_part_stays_where_it_is_and_touches_nothing() -> None:
    scene = make_scene(parts=2)
    before = scene.data.qpos.copy()

    for _ in range(500):
        mujoco.mj_step(scene.model, scene.data)

    start = scene.part_handles.qpos[0]
    assert is_parked(scene, 0)
    assert scene.data.qpos[start : start + 3] == pytest.approx(
        before[start : start + 3]
    )
    assert scene.data.ncon == 0


def test_a_part_that_slept_while_parked_falls_when_it_is_placed() -> None:
    scene = make_scene(parts=1)
    for _ in range(200):
        mujoco.mj_step(scene.model, scene.data)

    place_part(scene, 0, [0.3, 0.2, 0.5], [1.0, 0.0, 0.0, 0.0])
    for _ in range(100):
        mujoco.mj_step(scene.model, scene.data)

    height = scene.data.qpos[scene.part_handles.qpos[0] + 2]
    assert height == pytest.approx(0.5 - 9.81 * 0.2**2 / 2, abs=0.01)
    park_part(scene, 0)
    assert is_parked(scene, 0)


def set_joints(scene: Scene, q: Vector) -> None:
    scene.data.qpos[arm_of(scene).qpos] = q
    mujoco.mj_kinematics(scene.model, scene.data)
    mujoco.mj_comPos(scene.model, scene.data)


def site_matrix(scene: Scene, site: int) -> Vector:
    matrix = np.eye(4)
    matrix[:3, :3] = scene.data.site_xmat[site].reshape(3, 3)
    matrix[:3, 3] = scene.data.site_xpos[site]
    return matrix


def pad_corners(scene: Scene, arm: ArmHandles, side: str) -> Vector:
    geom = int((arm.left_pads if side == "left" else arm.right_pads)[0])
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    rotation = scene.data.geom_xmat[geom].reshape(3, 3)
    local = signs * scene.model.geom_size[geom]
    return np.asarray(local @ rotation.T + scene.data.geom_xpos[geom])
