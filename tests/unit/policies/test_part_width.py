"""How wide the part between the fingers looks."""

import math

import numpy as np
import pytest

from policies.runtime.part_width import measure_width_m
from policies.runtime.workspace import HeightmapGrid

GRID = HeightmapGrid(96, 0.004)


def make_bar(half_x_m: float, half_y_m: float) -> np.ndarray:
    x, y = np.meshgrid(GRID.centres_m(), GRID.centres_m())
    inside = (np.abs(x) < half_x_m) & (np.abs(y) < half_y_m)
    return np.where(inside, 0.05, 0.0).astype(np.float32)


@pytest.mark.parametrize(("yaw_rad", "width_m"), [(0.0, 0.024), (math.pi / 2, 0.056)])
def test_a_bar_is_as_wide_as_it_is_along_the_fingers(
    yaw_rad: float, width_m: float
) -> None:
    heights = make_bar(0.012, 0.028)

    seen = measure_width_m(heights, GRID, (0.0, 0.0), yaw_rad, 0.085, 0.01)

    assert seen == pytest.approx(width_m, abs=0.002)


def test_what_lies_below_the_grip_is_not_between_the_fingers() -> None:
    heights = make_bar(0.012, 0.028)

    assert measure_width_m(heights, GRID, (0.0, 0.0), 0.0, 0.085, 0.046) == 0.0


def test_what_lies_beyond_the_fingers_is_not_between_them() -> None:
    heights = make_bar(0.100, 0.100)

    seen = measure_width_m(heights, GRID, (0.0, 0.0), 0.3, 0.045, 0.01)

    assert seen == pytest.approx(0.046, abs=0.0011)


def test_a_place_at_the_rim_of_the_map_is_measured_on_the_map() -> None:
    heights = np.zeros((96, 96), np.float32)

    assert measure_width_m(heights, GRID, (0.30, 0.30), 0.0, 0.085, 0.0) == 0.0
