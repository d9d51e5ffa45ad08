"""What a stereo depth camera makes of a perfect depth image.

The form follows the literature; each part has one parameter:

* axial noise with a standard deviation that grows with the square of the distance, as
  triangulation gives it (Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for
  improved 3D reconstruction and tracking", 3DIMPVT 2012, fit the same square law plus
  a floor that belongs to structured light), correlated between neighbours because the
  matcher looks at blocks;
* disparity in fractions of a pixel, so depth comes in steps that grow with the square
  of the distance, and sideways jitter of about half a pixel, which frays edges (Barron
  and Malik, "Intrinsic scene properties from a single RGB-D image", CVPR 2013; Handa
  et al., "A benchmark for RGB-D visual odometry, 3D reconstruction and SLAM",
  ICRA 2014);
* no depth at many pixels beside a depth step, at a few pixels anywhere, and out of
  range.

The default figures are for a camera with 50 mm baseline and a focal length of 447 px
at full resolution (RealSense D435 at 848x480) on textured parts.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Depth = NDArray[np.float32]
Image = NDArray[np.uint8]

# Sums of three 3-bit numbers: mean and standard deviation.
_COLOR_MEAN = np.float32(10.5)
_COLOR_SIGMA = np.float32(np.sqrt(3 * 63 / 12))


@dataclass(frozen=True)
class StereoNoise:
    """Parameters of the depth noise.

    Attributes:
        axial_per_m: standard deviation is this times depth squared [1/m].
        step_per_m: step of inverse depth [1/m]: 1/32 px over 447 px x 0.05 m.
        jitter_px: standard deviation of the sideways jitter.
        edge_ratio: a depth step is a difference beyond this ratio of the depth,
            between pixels that touch.
        edge_dropout_ratio: share of pixels beside a depth step without depth.
        dropout_ratio: share of all pixels without depth.
        min_m: nearest depth.
        max_m: farthest depth.
    """

    axial_per_m: float = 0.0016
    step_per_m: float = 0.0014
    jitter_px: float = 0.5
    edge_ratio: float = 0.012
    edge_dropout_ratio: float = 0.35
    dropout_ratio: float = 0.002
    min_m: float = 0.07
    max_m: float = 4.0

    def axial_sigma_m(self, depth_m: float) -> float:
        """Return the standard deviation of depth at a distance [m], steps left out."""
        return self.axial_per_m * depth_m**2


def apply_depth_noise(
    depth_m: Depth, noise: StereoNoise, rng: np.random.Generator
) -> Depth:
    """Return a noisy copy; 0 stays 0.

    Args:
        depth_m: perfect depth, shape (height, width) [m], 0 for none.
        noise: the model.
        rng: source of randomness.
    """
    height, width = depth_m.shape
    normal = rng.standard_normal((height + 1, width + 1), dtype=np.float32)
    words = rng.integers(0, 2**32, size=depth_m.shape, dtype=np.uint32)
    noisy = np.empty_like(depth_m)
    _distort(
        depth_m,
        normal,
        words,
        _jitter_table(noise.jitter_px),
        np.array(
            [
                noise.axial_per_m,
                noise.step_per_m,
                noise.edge_ratio,
                noise.edge_dropout_ratio,
                noise.dropout_ratio,
                noise.min_m,
                noise.max_m,
            ],
            dtype=np.float32,
        ),
        noisy,
    )
    return noisy


def apply_color_noise(rgb: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Return a copy with noise of this standard deviation in every channel."""
    words = rng.integers(0, 2**32, size=rgb.shape[:2], dtype=np.uint32)
    noisy = np.empty_like(rgb)
    _speckle(rgb, words, np.float32(sigma) / _COLOR_SIGMA, noisy)
    return noisy


def _jitter_table(sigma_px: float) -> NDArray[np.int8]:
    """Return 256 equally likely whole offsets with that standard deviation.

    Offsets of one pixel are enough up to about 0.8 px.
    """
    share = min(0.5, sigma_px**2 / 2)
    count = round(256 * share)
    table = np.zeros(256, dtype=np.int8)
    table[:count], table[256 - count :] = -1, 1
    return table


@numba.njit(cache=True)
def _distort(
    depth: Depth,
    normal: Depth,
    words: NDArray[np.uint32],
    jitter: NDArray[np.int8],
    parameters: Depth,
    noisy: Depth,
) -> None:
    axial, step, edge_ratio, edge_dropout, dropout, low, high = parameters
    height, width = depth.shape
    for v in range(height):
        for u in range(width):
            noisy[v, u] = 0.0
            word = words[v, u]
            y = min(max(v + jitter[(word >> 8) & 0xFF], 0), height - 1)
            x = min(max(u + jitter[word & 0xFF], 0), width - 1)
            z = depth[y, x]
            if z < low or z > high:
                continue
            chance = dropout
            limit = edge_ratio * z
            for side in range(4):
                w = min(max(v + (side == 0) - (side == 1), 0), height - 1)
                t = min(max(u + (side == 2) - (side == 3), 0), width - 1)
                if abs(depth[w, t] - depth[v, u]) > limit:
                    chance = edge_dropout
            if (word >> 16) < chance * 65536.0:
                continue
            block = normal[v, u] + normal[v + 1, u]
            block += normal[v, u + 1] + normal[v + 1, u + 1]
            measured = z + axial * z * z * np.float32(0.5) * block
            noisy[v, u] = 1.0 / (step * np.rint(1.0 / (measured * step)))


@numba.njit(cache=True)
def _speckle(
    rgb: Image, words: NDArray[np.uint32], scale: np.float32, noisy: Image
) -> None:
    height, width, channels = rgb.shape
    for v in range(height):
        for u in range(width):
            word = words[v, u]
            for c in range(channels):
                bits = word >> np.uint32(10 * c)
                total = (bits & 7) + ((bits >> 3) & 7) + ((bits >> 6) & 7)
                value = rgb[v, u, c] + scale * (np.float32(total) - _COLOR_MEAN)
                noisy[v, u, c] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
