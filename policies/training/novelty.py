"""Fits the statistics by which a policy knows pictures unlike its training inputs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError
from policies.manifest import SceneNovelty
from policies.runtime.scene_novelty import FEATURES, compute_features

LEAST_INPUTS: Final = 200
"""Fewer say too little: half of them are held out, and there are 29 features."""

QUANTILE: Final = 0.999
"""Of the held-out scores; about one picture in a thousand as in training is refused."""

_RIDGE: Final = 1e-3
"""Added to the covariance of the features in units of their spreads: what never varied
in training must not decide by itself."""


def fit_novelty(heights_m: NDArray[np.float32]) -> SceneNovelty:
    """Fit every second input, and set the threshold on the others.

    Args:
        heights_m: training inputs, shape (scenes, n, n) [m].

    Raises:
        ModelError: there are too few of them.
    """
    if len(heights_m) < LEAST_INPUTS:
        raise ModelError(
            f"{len(heights_m)} heightmaps are too few to tell what is unlike them; "
            f"{LEAST_INPUTS} are needed"
        )
    features = np.array([compute_features(heights) for heights in heights_m])
    fitted, held_out = features[::2], features[1::2]
    mean, spread = fitted.mean(axis=0), fitted.std(axis=0) + 1e-9
    scaled = (fitted - mean) / spread
    covariance = scaled.T @ scaled / len(scaled) + _RIDGE * np.eye(len(FEATURES))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / spread
    scores = np.linalg.norm((held_out - mean) @ whitening.T, axis=1)
    return SceneNovelty(
        features=FEATURES,
        mean=tuple(_round(mean)),
        whitening=tuple(tuple(_round(row)) for row in whitening),
        quantile=QUANTILE,
        threshold=float(round(np.quantile(scores, QUANTILE), 4)),
        fitted=len(fitted),
        held_out=len(held_out),
    )


def _round(values: NDArray[np.float64]) -> list[float]:
    """Return values with ten digits; more say nothing and fill the manifest."""
    return [float(f"{value:.10g}") for value in values]
