"""What fingers may come near, and every fixture that they may not touch."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import ActionChunk, ActionStep
from cell.kinematics import solve_ik
from ops.chunk_check import make_chunk_check
from ops.workspace import make_workspace
from policies.runtime.fingers import FLOOR_CLEARANCE_M, ROBOTIQ_2F85
from safety.finger_check import BinShape, FingerCheck
from tests.fakes.cell_scene import shipped_settings

SETTINGS = shipped_settings()
TOOL = SETTINGS.arm.flange_from_tcp.pose()
HOME_Q = np.array(SETTINGS.arm.home_q_rad)
BIN = SETTINGS.cell.bin
CENTRE_M = np.array(BIN.base_from_bin.position_m)
HALF_X_M, HALF_Y_M = (side / 2 for side in BIN.floor_size_m)
SHAPE = BinShape(
    BIN.base_from_bin.pose(),
    BIN.floor_size_m,
    BIN.wall_height_m,
    math.radians(BIN.wall_slope_deg),
)
FINGERS = FingerCheck(SETTINGS.safety, TOOL, SHAPE, ROBOTIQ_2F85)
CHECK = make_chunk_check(SETTINGS)
LOWEST_M = ROBOTIQ_2F85.closed_tip_m - float(TOOL.position_m[2]) + FLOOR_CLEARANCE_M
"""Height of the tool point over the floor at the lowest grasp that policies propose."""


def place(x_m: float, y_m: float, z_m: float) -> list[float]:
    """A place in base from one over the centre of the floor."""
    return [float(v) for v in CENTRE_M + np.array([x_m, y_m, z_m])]


def joints_at(pose: Pose) -> Vector:
    q = solve_ik(pose, TOOL, HOME_Q)
    assert q is not None
    return q


def down(place_m: list[float], yaw_rad: float = 0.0) -> Vector:
    return joints_at(Pose.tool_down(place_m, yaw_rad))


def grasp(place_m: list[float], yaw_rad: float, aperture_m: float) -> ActionChunk:
    above = Pose.tool_down([*place_m[:2], place_m[2] + 0.1], yaw_rad)
    poses = (above, Pose.tool_down(place_m, yaw_rad))
    return ActionChunk(1, tuple(ActionStep(p, aperture_m) for p in poses), 0.9, "test")


@pytest.mark.parametrize("aperture_m", [0.0, 0.045, 0.085])
def test_the_lowest_grasp_of_a_good_policy_passes(aperture_m: float) -> None:
    chunk = grasp(place(0.0, 0.0, LOWEST_M), 0.4, aperture_m)

    assert CHECK.check(chunk, HOME_Q) == ""


def test_fingers_that_would_close_into_the_floor_are_refused() -> None:
    # Open, the tips end above the floor; closed, they reach 2 mm into it.
    chunk = grasp(place(0.0, 0.0, LOWEST_M - 0.004), 0.4, 0.08)

    assert FINGERS.find_at(down(place(0.0, 0.0, LOWEST_M - 0.004)), 0.08) == ""
    refusal = FINGERS.find_while_closing(down(place(0.0, 0.0, LOWEST_M - 0.004)), 0.08)
    assert refusal.endswith("zone bin_floor")
    assert "floor" in CHECK.check(chunk, HOME_Q) or "outside" in CHECK.check(
        chunk, HOME_Q
    )


@pytest.mark.parametrize(
    ("x", "y", "yaw", "wall"),
    [
        (1.0, 0.0, 0.0, "bin_wall_px"),
        (-1.0, 0.0, 0.0, "bin_wall_nx"),
        (0.0, 1.0, math.pi / 2, "bin_wall_py"),
        (0.0, -1.0, math.pi / 2, "bin_wall_ny"),
    ],
)
def test_open_fingers_that_would_go_into_a_wall_are_refused(
    x: float, y: float, yaw: float, wall: str
) -> None:
    place_m = place(x * HALF_X_M, y * HALF_Y_M, 0.02)

    refusal = CHECK.check(grasp(place_m, yaw, 0.085), HOME_Q)

    assert refusal.startswith("step 1: the line leaves -")
    assert refusal.endswith(f"zone {wall}")


def test_closed_fingers_fit_where_open_ones_do_not() -> None:
    q = down(place(HALF_X_M - 0.03, 0.0, 0.015))

    assert FINGERS.find_at(q, 0.0) == ""
    assert "wall_px" in FINGERS.find_at(q, 0.085)


def test_a_tilted_tool_may_not_lay_its_body_on_the_rim() -> None:
    # Leaning outward over the wall, with the fingers over the floor.
    lean = Pose.from_rotvec([0.0, 0.0, 0.0], [0.0, 1.2, 0.0])
    tool = lean @ Pose.tool_down([0.0, 0.0, 0.0], 0.0)
    q = joints_at(Pose(np.array(place(0.08, 0.0, 0.03)), tool.quat_wxyz))

    assert FINGERS.find_at(q, 0.0) != ""


def test_a_tilted_tool_may_not_lay_its_wrist_camera_on_the_rim() -> None:
    # The camera looks down beside a gripper that lies nearly flat over the bin.
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([(-1, 0, 0), (0, 0, 1), (0, 1, 0)])
    frame[:3, 3] = place(0.0, 0.02 - HALF_Y_M + 0.1, 0.17)
    refusals = []
    for height_m in np.linspace(0.17, 0.12, 6):
        frame[2, 3] = CENTRE_M[2] + height_m
        refusals.append(FINGERS.find_at(joints_at(Pose.from_matrix(frame)), 0.0))

    assert refusals[0] == ""
    assert any("wrist_camera and zone bin_wall_ny" in text for text in refusals)


@pytest.mark.parametrize(
    ("place_m", "zone"),
    [([0.05, 0.62, -0.01], "table"), ([0.22, 0.46, 0.04], "outfeed")],
)
def test_fingers_may_not_touch_what_the_gripper_keeps_out_of(
    place_m: list[float], zone: str
) -> None:
    assert FINGERS.find_at(down(place_m), 0.05).endswith(f"zone {zone}")


def test_a_way_through_a_wall_is_refused_at_any_opening() -> None:
    inside, outside = down(place(0.0, 0.0, 0.04)), down(place(0.0, 0.21, 0.04))

    assert "wall_py" in FINGERS.find_on_way(inside, outside, 0.0)
    above = down(place(0.0, 0.0, 0.25))
    assert FINGERS.find_on_way(above, down(place(0.0, 0.1, 0.25)), 0.0) == ""
    poses = [Pose.tool_down(place(0.0, y, 0.04), 0.0) for y in (0.0, 0.21)]
    across = ActionChunk(1, tuple(ActionStep(p, 0.0) for p in poses), 0.9, "test")
    assert "wall_py" in CHECK.check(across, HOME_Q)


def test_a_first_step_inside_of_a_wall_is_refused_on_the_way_there() -> None:
    pose = Pose.tool_down(place(HALF_X_M + 0.02, 0.0, 0.03), 0.0)
    chunk = ActionChunk(1, (ActionStep(pose, 0.05),), 0.9, "test")

    refusal = CHECK.check(chunk, HOME_Q)

    assert refusal.startswith("the way to step 0 leaves")


def test_the_opening_of_the_first_step_counts_on_the_whole_way() -> None:
    # The cell opens the fingers once; a narrower second step is no promise.
    place_m = place(HALF_X_M - 0.03, 0.0, 0.015)
    wide, narrow = grasp(place_m, 0.0, 0.085), grasp(place_m, 0.0, 0.0)
    mixed = ActionChunk(1, (wide.steps[0], narrow.steps[1]), 0.9, "test")

    assert "wall_px" in CHECK.check(mixed, HOME_Q)
    assert CHECK.check(narrow, HOME_Q) == ""


@pytest.mark.parametrize("aperture_m", ROBOTIQ_2F85.apertures_m)
def test_the_bars_enclose_the_corners_of_the_pads(aperture_m: float) -> None:
    bars = FINGERS._place_bars(
        aperture_m, ROBOTIQ_2F85.closed_tip_m - ROBOTIQ_2F85.rise_m(aperture_m)
    )
    tip_m = ROBOTIQ_2F85.closed_tip_m - ROBOTIQ_2F85.rise_m(aperture_m)
    for side in (-1.0, 1.0):
        for thickness_m in (0.0, 0.008):
            x = side * (aperture_m / 2 + thickness_m)
            corner = np.array([x, ROBOTIQ_2F85.pad_width_m / 2, tip_m])
            # What is left out at the very edges is less than a policy keeps clear.
            assert distance(corner, bars) < 0.005 + FLOOR_CLEARANCE_M


def distance(point: Vector, bars: Any) -> float:
    found = []
    for _name, start, end in bars:
        way = np.array(end) - np.array(start)
        t = np.clip((point - np.array(start)) @ way / (way @ way), 0.0, 1.0)
        found.append(float(np.linalg.norm(point - np.array(start) - t * way)))
    return min(found)


def test_what_the_policies_may_propose_at_walls_is_granted() -> None:
    workspace = make_workspace(SETTINGS)
    fingers = workspace.fingers
    half_m = np.array(workspace.opening_half_m())
    rng = np.random.default_rng(2)
    at_walls = 0
    for _ in range(600):
        x, y = rng.uniform(-1.0, 1.0, 2) * half_m
        yaw, opening_m = rng.uniform(-np.pi, np.pi), rng.uniform(0.02, 0.085)
        (lowest,) = workspace.compute_lowest_tips_m(
            np.array([x]), np.array([y]), yaw, opening_m
        )
        height_m = max(float(lowest), FLOOR_CLEARANCE_M)
        place = [x, y, height_m + fingers.closed_tip_m - workspace.flange_to_tcp_m]
        q = solve_ik(workspace.base_from_bin @ Pose.tool_down(place, yaw), TOOL, HOME_Q)
        if q is None:
            continue
        at_walls += lowest > FLOOR_CLEARANCE_M
        assert FINGERS.find_at(q, opening_m) == "", (x, y, yaw, opening_m)
        assert FINGERS.find_while_closing(q, opening_m) == "", (x, y, yaw, opening_m)

    assert at_walls > 200
