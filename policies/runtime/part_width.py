"""How wide the part between the fingers is, as the heightmap shows it."""

import numpy as np

from policies.runtime.workspace import FloatMap, HeightmapGrid

_STEP_M = 0.001
# Closed tips reach this far below what they grip; lower than that nothing is gripped.
_GRIP_RISE_M = 0.006


def measure_width_m(
    heights_m: FloatMap,
    grid: HeightmapGrid,
    place_m: tuple[float, float],
    yaw_rad: float,
    aperture_m: float,
    tip_m: float,
) -> float:
    """Return the extent of what stands between the fingers, along which they close.

    A gap in it, such as between two parts, counts as filled: the fingers stop outside.

    Args:
        heights_m: heightmap of the bin, shape (n, n) [m].
        grid: of the map.
        place_m: tool centre point in the bin frame (x, y).
        yaw_rad: direction along which the fingers close.
        aperture_m: opening on the way down.
        tip_m: height of the closed finger tips above the bin floor.

    Returns:
        The width [m], 0 where nothing stands there.
    """
    half_m = aperture_m / 2
    along_m = np.arange(-half_m, half_m + _STEP_M / 2, _STEP_M)
    x_m = place_m[0] + along_m * np.cos(yaw_rad)
    y_m = place_m[1] + along_m * np.sin(yaw_rad)
    last = grid.size_px - 1
    middle = last / 2
    col = np.clip(np.rint(x_m / grid.pixel_m + middle), 0, last).astype(np.intp)
    row = np.clip(np.rint(y_m / grid.pixel_m + middle), 0, last).astype(np.intp)
    standing = np.flatnonzero(heights_m[row, col] > tip_m + _GRIP_RISE_M)
    if not len(standing):
        return 0.0
    return float(along_m[standing[-1]] - along_m[standing[0]] + _STEP_M)
