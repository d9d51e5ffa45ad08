"""Depth image to heightmap of the bin.

`heightmap[row, col]` is the height above the bin floor [m] of the highest point seen
in a square cell; columns grow along the bin's +x, rows along its +y, and the centre of
cell (r, c) lies at x = (c - (n-1)/2) * pixel, y = (r - (n-1)/2) * pixel.
"""

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import RgbdFrame
from cell.kinematics.compiled import compiled
from policies.runtime.workspace import FloatMap, HeightmapGrid

MAX_HEIGHT_M = 0.30
"""Points higher than this above the floor are not parts (the arm, noise)."""

MIN_HEIGHT_M = -0.02
"""Points lower than this below the floor are noise."""


def compute_heightmap(
    frame: RgbdFrame, base_from_bin: Pose, grid: HeightmapGrid
) -> tuple[FloatMap, float]:
    """Project a depth image into the bin frame and fill the cells nobody saw.

    Args:
        frame: the overhead camera's frame.
        base_from_bin: centre of the bin floor.
        grid: size of the map.

    Returns:
        The heightmap, shape (n, n) float32 [m], and the fraction of its cells that a
        depth pixel fell into.
    """
    bin_from_camera = (base_from_bin.inverse() @ frame.base_from_camera).as_matrix()
    lens = frame.intrinsics
    heights = np.full((grid.size_px, grid.size_px), np.nan, np.float32)
    _project(
        np.ascontiguousarray(frame.depth_m, dtype=np.float32),
        np.array([lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px]),
        bin_from_camera,
        grid.pixel_m,
        heights,
    )
    seen_ratio = float(np.count_nonzero(~np.isnan(heights))) / heights.size
    _fill_holes(heights)
    return heights, seen_ratio


@compiled
def _project(
    depth_m: FloatMap,
    lens: NDArray[np.float64],
    bin_from_camera: NDArray[np.float64],
    pixel_m: float,
    heights: FloatMap,
) -> None:
    size = heights.shape[0]
    m = bin_from_camera
    # In units of cells, with the corner of the first cell at the origin.
    scale, half = 1.0 / pixel_m, 0.5 * size
    for v in range(depth_m.shape[0]):
        ray_y = (v - lens[3]) / lens[1]
        row_x = m[0, 1] * ray_y + m[0, 2]
        row_y = m[1, 1] * ray_y + m[1, 2]
        row_z = m[2, 1] * ray_y + m[2, 2]
        for u in range(depth_m.shape[1]):
            d = float(depth_m[v, u])
            if not d > 0.0:
                continue
            ray_x = (u - lens[2]) / lens[0]
            z = (m[2, 0] * ray_x + row_z) * d + m[2, 3]
            # Written so that a NaN or infinite depth fails the test too.
            if not (MIN_HEIGHT_M <= z <= MAX_HEIGHT_M):
                continue
            x = ((m[0, 0] * ray_x + row_x) * d + m[0, 3]) * scale + half
            y = ((m[1, 0] * ray_x + row_y) * d + m[1, 3]) * scale + half
            if 0.0 <= x < size and 0.0 <= y < size:
                row, col = int(y), int(x)
                old = heights[row, col]
                if np.isnan(old) or z > old:
                    heights[row, col] = z


@compiled
def _fill_holes(heights: FloatMap) -> None:
    # Each pass fills the holes beside known cells with the mean of those; a shadow
    # beside a part so becomes a slope, and a lost pixel its surroundings.
    size = heights.shape[0]
    holes = np.argwhere(np.isnan(heights))
    if len(holes) == size * size:
        heights[:] = 0.0
        return
    values = np.empty(len(holes), np.float32)
    count = len(holes)
    while count > 0:
        for i in range(count):
            total = 0.0
            known = 0
            row, col = holes[i, 0], holes[i, 1]
            for r in range(max(row - 1, 0), min(row + 2, size)):
                for c in range(max(col - 1, 0), min(col + 2, size)):
                    h = heights[r, c]
                    if not np.isnan(h):
                        total += h
                        known += 1
            values[i] = total / known if known else np.nan
        left = 0
        for i in range(count):
            row, col = holes[i, 0], holes[i, 1]
            if np.isnan(values[i]):
                holes[left, 0], holes[left, 1] = row, col
                left += 1
            else:
                heights[row, col] = values[i]
        count = left
