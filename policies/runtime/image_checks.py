"""Whether colour and depth of one picture show anything worth looking at. Pure.

Each check answers with a phrase that says what is wrong, empty when nothing is. The
thresholds were set on pictures of the virtual cell, full and empty bins, by OpenGL and
by rays; the measured distances stand beside them. A healthy picture has noise in every
row: that is what tells a missing part from a dark corner.

Comparisons are written so that what is no number is a flaw.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DARK_LEVEL: Final = 30.0
"""Brightest hundredth of a dark picture; of 255. Healthy pictures: 203 and more."""

BLINDING_LEVEL: Final = 250
BLINDED_RATIO: Final = 0.4
"""Share of pixels at the upper end of the range. Healthy: none."""

FLAT_RANGE: Final = 2
"""Levels within a row that noise alone exceeds."""

MISSING_RATIO: Final = 0.1
"""Share of rows or columns without any content. Healthy: none."""

LEAST_CONTRAST: Final = 12.0
"""Between the darkest and the brightest fiftieth. Healthy: 134 and more."""

SHARPNESS: Final = 0.2
"""Steepest step between neighbours as a share of the contrast.

Healthy: 0.97 and more. Out of focus by 7 px: 0.19 at most."""

SEEN_RATIO: Final = 0.5
"""Share of pixels that have depth. Healthy: 0.997 and more."""

NEAR_RATIO: Final = 0.5
"""Nearer than this share of the camera's height above the base, nothing belongs."""

COVERED_RATIO: Final = 0.4
"""Share of the depth that may be that near. Healthy: 0.009 at most.

With the arm straight under the camera, which no policy is asked about: 0.20."""

_STRIDE: Final = 4


def find_color_flaw(rgb: NDArray[Any]) -> str:
    """Return what is wrong with a colour image, shape (height, width, 3), uint8."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        return "there is no colour image"
    gray = compute_gray(rgb)
    sample = gray[::_STRIDE, ::_STRIDE]
    low, high, brightest = np.percentile(sample, (2, 98, 99))
    if not brightest >= DARK_LEVEL:
        return f"it is dark (at most {brightest:.0f} of 255)"
    blinded = np.count_nonzero(sample >= BLINDING_LEVEL) / sample.size
    if not blinded <= BLINDED_RATIO:
        return f"it is overexposed ({blinded:.0%} of it)"
    missing = compute_missing_ratio(gray)
    if not missing <= MISSING_RATIO:
        return f"a part of it is missing ({missing:.0%})"
    if not high - low >= LEAST_CONTRAST:
        return f"it shows one shade only (contrast {high - low:.0f} of 255)"
    sharpness = compute_sharpness(gray, float(high - low))
    if not sharpness >= SHARPNESS:
        return f"it is blurred (sharpness {sharpness:.2f})"
    return ""


def find_depth_flaw(depth_m: NDArray[Any], camera_height_m: float) -> str:
    """Return what is wrong with a depth image.

    Args:
        depth_m: shape (height, width) [m], 0 where the sensor gave nothing.
        camera_height_m: of the camera above the base plane [m].
    """
    if depth_m.ndim != 2 or not depth_m.size:
        return "there is no depth image"
    seen = np.isfinite(depth_m) & (depth_m > 0.0)
    ratio = np.count_nonzero(seen) / seen.size
    if not ratio >= SEEN_RATIO:
        return f"only {ratio:.0%} of it has depth"
    missing = max(
        float(np.mean(~seen.any(axis=axis), dtype=np.float64)) for axis in (0, 1)
    )
    if not missing <= MISSING_RATIO:
        return f"a part of it is missing ({missing:.0%})"
    values = depth_m[seen]
    if not values.max() > values.min():
        return "all of it is equally far"
    covered = compute_covered_ratio(values, camera_height_m)
    if not covered <= COVERED_RATIO:
        return f"something near covers it ({covered:.0%})"
    return ""


def find_shared_flaw(rgb: NDArray[Any], flaw: str) -> str:
    """Return what the depth beside a colour image suffers from as well.

    Depth comes from pictures taken in the same light, through the same window, by eyes
    side by side: what blinds or blurs one of them does so to all, and what the matcher
    makes of it looks like depth. Darkness alone is none of that: a depth camera brings
    its own light, and where it does not, its depth image says so.

    Args:
        rgb: the colour image.
        flaw: what `find_color_flaw` says of it.
    """
    if not flaw or is_dark(rgb):
        return ""
    return f"the colour image beside it cannot be used: {flaw}"


def is_dark(rgb: NDArray[Any]) -> bool:
    """Say whether a colour image shows darkness and nothing else."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        return False
    brightest = np.percentile(compute_gray(rgb)[::_STRIDE, ::_STRIDE], 99)
    return bool(brightest < DARK_LEVEL)


def compute_gray(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the brightness, 0..255, with green counted twice."""
    wide = rgb.astype(np.int16)
    return (wide[..., 0] + 2 * wide[..., 1] + wide[..., 2]) >> 2


def compute_missing_ratio(gray: NDArray[np.int16]) -> float:
    """Return the larger share of rows or columns that hold one level only."""
    return max(
        float(np.mean(np.ptp(gray, axis=axis) <= FLAT_RANGE, dtype=np.float64))
        for axis in (0, 1)
    )


def compute_sharpness(gray: NDArray[np.int16], contrast: float) -> float:
    """Return the steepest steps between neighbours as a share of the contrast.

    The steepest of two thousand: one dead pixel makes no picture sharp.
    """
    steps = np.abs(np.diff(gray, axis=1)).ravel()
    kept = steps.size - 1 - steps.size // 2000
    return float(np.partition(steps, kept)[kept]) / contrast


def compute_covered_ratio(values_m: NDArray[Any], camera_height_m: float) -> float:
    """Return the share of depth values that are nearer than anything belongs."""
    near_m = NEAR_RATIO * camera_height_m
    # A camera whose place is not known is covered as a whole.
    return 1.0 - float(np.count_nonzero(values_m >= near_m)) / values_m.size
