"""How far a heightmap lies from those that a network was trained on.

A few numbers say what a heightmap looks like as a whole: its level, its relief, its
roughness, and the level of each sixteenth. Over the training inputs they are close to
normal, so the distance from their mean in units of their spread (Mahalanobis) tells a
bin as in training from anything else. It says nothing about single parts: a strange
part in an ordinary bin is for the network's own scores, and for the Guardian.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError
from policies.manifest import SceneNovelty

_QUANTILES: Final = (0.02, 0.25, 0.5, 0.75, 0.9, 0.98)
_POOLED: Final = 4
# Of slopes [m per cell]: far below the noise of any camera, so that a logarithm exists.
_LEAST_SLOPE_M: Final = 1e-6

FEATURES: Final = (
    "mean_m",
    "spread_m",
    "highest_m",
    *(f"quantile_{round(100 * q):02}_m" for q in _QUANTILES),
    "slope_x_log",
    "slope_y_log",
    "roughness_log",
    "median_roughness_log",
    *(f"mean_{row}{col}_m" for row in range(_POOLED) for col in range(_POOLED)),
)
"""In the order of the arrays; a model that was fitted to others is refused."""


def compute_features(heights_m: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the numbers of `FEATURES` of one heightmap.

    Args:
        heights_m: what the network is asked with, shape (n, n) [m], n a multiple of 4.
    """
    h = np.asarray(heights_m, dtype=np.float64)
    ring = h[:-2, 1:-1] + h[2:, 1:-1] + h[1:-1, :-2] + h[1:-1, 2:]
    roughness = 4.0 * h[1:-1, 1:-1] - ring
    side = h.shape[0] // _POOLED
    pooled = h.reshape(_POOLED, side, _POOLED, side).mean(axis=(1, 3))
    return np.array(
        [
            h.mean(),
            h.std(),
            h.max(),
            *np.quantile(h, _QUANTILES),
            _log_energy(np.diff(h, axis=1)),
            _log_energy(np.diff(h, axis=0)),
            _log_energy(roughness),
            np.log(np.median(np.abs(roughness)) + _LEAST_SLOPE_M),
            *pooled.ravel(),
        ]
    )


class NoveltyGauge:
    """Scores heightmaps against the statistics of a model's training inputs.

    Attributes:
        threshold: scores beyond it are out of the distribution.
    """

    def __init__(self, novelty: SceneNovelty) -> None:
        """Take over what the manifest says.

        Raises:
            ModelError: it was fitted to other features than this version computes.
        """
        if novelty.features != FEATURES:
            raise ModelError(
                "novelty.features are not those of this version; fit them again "
                "(./cellward policy novelty), or export the model again"
            )
        self.threshold = novelty.threshold
        self._mean = np.array(novelty.mean)
        self._whitening = np.array(novelty.whitening)

    def compute_score(self, heights_m: NDArray[np.float32]) -> float:
        """Return the distance of a heightmap, shape (n, n) [m]; 0 is the mean."""
        offset = compute_features(heights_m) - self._mean
        return float(np.linalg.norm(self._whitening @ offset))

    def is_novel(self, score: float) -> bool:
        """Say whether a score is out of the distribution; one that is no number is."""
        return not score <= self.threshold


def _log_energy(slopes_m: NDArray[np.float64]) -> float:
    return float(np.log(np.sqrt(np.mean(slopes_m**2)) + _LEAST_SLOPE_M))
