"""The scripted policy straddles what is free and leaves alone what is not."""

import numpy as np
import pytest

from cell.contracts.fingers import WALL_CLEARANCE_M
from cell.contracts.observation import Abstain, ActionChunk
from policies.runtime.scripted_policy import ScriptedPolicy
from policies.runtime.worker import make_observation
from policies.runtime.workspace import BAR_REACH_M
from tests.fakes.grasp_models import make_frame, make_workspace

WORKSPACE = make_workspace(96, 0.004)
Box = tuple[float, float, float, float, float]


def propose(*boxes: Box) -> ActionChunk | Abstain:
    policy = ScriptedPolicy(WORKSPACE, minimum_score=0.25)
    return policy.propose(make_observation(make_frame(list(boxes))))


def grasp_of(chunk: ActionChunk) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the grasp's bin xy, closing axis and aperture."""
    pose = WORKSPACE.base_from_bin.inverse() @ chunk.steps[-1].base_from_tcp
    return pose.position_m[:2], pose.as_matrix()[:2, 0], chunk.steps[-1].aperture_m


def test_a_single_part_is_gripped_across_its_narrow_side() -> None:
    chunk = propose((0.04, 0.02, 0.07, 0.03, 0.03))

    assert isinstance(chunk, ActionChunk)
    place, axis, _ = grasp_of(chunk)
    assert np.allclose(place, [0.04, 0.02], atol=0.012)
    assert abs(axis[1]) > 0.9


def test_the_fingers_open_wide_enough_but_not_more() -> None:
    narrow = propose((0.0, 0.0, 0.03, 0.05, 0.03))
    wide = propose((0.0, 0.0, 0.055, 0.07, 0.03))

    assert isinstance(narrow, ActionChunk)
    assert isinstance(wide, ActionChunk)
    assert grasp_of(narrow)[2] < grasp_of(wide)[2]
    assert grasp_of(wide)[2] == pytest.approx(0.085)


def test_the_free_part_is_preferred_to_the_one_in_a_crowd() -> None:
    crowd: list[Box] = [
        (-0.08 + dx, -0.04 + dy, 0.036, 0.036, 0.04)
        for dx in (0.0, 0.037, 0.074)
        for dy in (0.0, 0.037, 0.074)
    ]

    chunk = propose(*crowd, (0.10, 0.05, 0.036, 0.036, 0.036))

    assert isinstance(chunk, ActionChunk)
    assert np.allclose(grasp_of(chunk)[0], [0.10, 0.05], atol=0.012)


def test_a_part_too_wide_for_the_fingers_is_left_alone() -> None:
    answer = propose((0.0, 0.0, 0.12, 0.12, 0.04))

    assert isinstance(answer, Abstain)
    assert not answer.is_bin_empty


def test_an_empty_bin_is_called_empty() -> None:
    answer = propose()

    assert isinstance(answer, Abstain)
    assert answer.is_bin_empty


def test_tips_never_go_below_the_floor_clearance() -> None:
    chunk = propose((0.0, 0.0, 0.03, 0.05, 0.02))

    assert isinstance(chunk, ActionChunk)
    pose = WORKSPACE.base_from_bin.inverse() @ chunk.steps[-1].base_from_tcp
    closed_tip_m = float(pose.position_m[2]) - (0.1736 - 0.168)
    assert closed_tip_m >= 0.002 - 1e-6


def test_fingers_keep_clear_of_the_walls() -> None:
    rng = np.random.default_rng(4)
    fingers, slope = WORKSPACE.fingers, WORKSPACE.wall_slope_rad
    half = np.array(WORKSPACE.floor_size_m) / 2
    rooms_m = []
    for _ in range(2000):
        x, y = rng.uniform(-1.0, 1.0, 2) * half
        yaw, opening_m = rng.uniform(-np.pi, np.pi), rng.uniform(0.0, 0.085)
        (lowest,) = WORKSPACE.compute_lowest_tips_m(
            np.array([x]), np.array([y]), yaw, opening_m
        )
        rise_m = fingers.rise_m(opening_m)
        for thick_m, above_m in (
            (fingers.pad_thickness_m, 0.0),
            (fingers.knuckle_thickness_m, fingers.knuckle_rise_m),
        ):
            height_m = lowest + rise_m + above_m
            if height_m >= WORKSPACE.wall_height_m:
                continue
            for u in (-1.0, 1.0):
                for v in (-1.0, 1.0):
                    across = u * (opening_m / 2 + thick_m)
                    along = v * fingers.pad_width_m / 2
                    corner = np.array(
                        [
                            x + across * np.cos(yaw) - along * np.sin(yaw),
                            y + across * np.sin(yaw) + along * np.cos(yaw),
                        ]
                    )
                    beside = half + height_m * np.tan(slope) - np.abs(corner)
                    rooms_m.append(float(beside.min() * np.cos(slope)))

    wanted_m = WALL_CLEARANCE_M + BAR_REACH_M
    assert min(rooms_m) == pytest.approx(wanted_m, abs=1e-6)
