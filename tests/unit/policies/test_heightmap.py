"""The heightmap puts every point into its cell, whatever the camera's pose."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import RgbdFrame
from policies.runtime.heightmap import compute_heightmap
from tests.fakes.grasp_models import make_frame, make_workspace

WORKSPACE = make_workspace(96, 0.004)
CENTRES = WORKSPACE.grid.centres_m()


def project(frame: RgbdFrame) -> tuple[NDArray[np.float32], float]:
    return compute_heightmap(frame, WORKSPACE.base_from_bin, WORKSPACE.grid)


def test_a_flat_floor_is_zero_everywhere_inside() -> None:
    heights, seen = project(make_frame([]))

    inside = np.abs(CENTRES) < 0.11
    assert seen > 0.99
    assert np.abs(heights[np.ix_(inside, inside)]).max() < 1e-4


def test_a_box_rises_where_it_stands_with_x_along_columns_and_y_along_rows() -> None:
    heights, _ = project(make_frame([(0.08, -0.04, 0.04, 0.02, 0.05)]))

    floor = np.abs(CENTRES) < 0.115
    on_box = (np.abs(heights - 0.05) < 1e-3) & floor[:, None] & floor
    rows, cols = np.nonzero(on_box)
    assert CENTRES[cols].mean() == pytest.approx(0.08, abs=0.002)
    assert CENTRES[rows].mean() == pytest.approx(-0.04, abs=0.002)
    assert np.ptp(CENTRES[cols]) == pytest.approx(0.04 - 0.004, abs=0.0045)
    assert np.ptp(CENTRES[rows]) == pytest.approx(0.02 - 0.004, abs=0.0045)


def test_walls_appear_with_their_slope() -> None:
    heights, _ = project(make_frame([]))

    expected = WORKSPACE.bin_heights_m()
    inside = WORKSPACE.inside_opening()
    assert np.abs(heights - expected)[inside].max() < 0.006


@given(
    x_m=st.floats(-0.1, 0.1),
    y_m=st.floats(-0.08, 0.08),
    tilt=st.tuples(*[st.floats(-0.15, 0.15)] * 3),
)
def test_a_single_point_lands_in_its_cell_from_any_view(
    x_m: float, y_m: float, tilt: tuple[float, float, float]
) -> None:
    frame = make_frame([])
    turn = Pose.from_rotvec([0.01, -0.02, 0.03], tilt)
    camera = frame.base_from_camera @ turn
    point = WORKSPACE.base_from_bin.apply(np.array([x_m, y_m, 0.04]))
    seen = camera.inverse().apply(point)
    lens = frame.intrinsics
    u = round(float(seen[0] / seen[2] * lens.fx_px + lens.cx_px))
    v = round(float(seen[1] / seen[2] * lens.fy_px + lens.cy_px))
    if not (0 <= u < lens.width_px and 0 <= v < lens.height_px):
        return
    depth = np.zeros_like(frame.depth_m)
    depth[v, u] = seen[2]

    heights, ratio = project(
        dataclasses.replace(frame, depth_m=depth, base_from_camera=camera)
    )

    # The ray of the nearest pixel passes within half a pixel of the point, and every
    # hole takes the height of the only cell known.
    assert ratio == pytest.approx(1 / 96**2)
    assert heights.max() == pytest.approx(0.04, abs=0.001)


def test_missing_depth_is_filled_from_its_surroundings() -> None:
    frame = make_frame([(0.0, 0.0, 0.04, 0.04, 0.04)])
    depth = frame.depth_m.copy()
    depth[::7, ::5] = 0.0
    depth[60:66, 100:106] = np.nan
    depth[70, 70] = np.inf
    depth[71, 71] = -1.0

    heights, _ = project(dataclasses.replace(frame, depth_m=depth))

    inside = np.abs(CENTRES) < 0.1
    assert np.isfinite(heights).all()
    assert heights[np.ix_(inside, inside)].max() == pytest.approx(0.04, abs=1e-3)


def test_a_blind_camera_gives_a_flat_map_and_says_that_it_saw_nothing() -> None:
    frame = make_frame([])
    blind = dataclasses.replace(frame, depth_m=np.zeros_like(frame.depth_m))

    heights, seen = project(blind)

    assert seen == 0.0
    assert not heights.any()


def test_points_far_above_the_bin_are_not_parts() -> None:
    frame = make_frame([])
    depth = frame.depth_m.copy()
    depth[100:140, 140:180] = 0.3

    heights, _ = project(dataclasses.replace(frame, depth_m=depth))

    assert heights.max() < 0.1
