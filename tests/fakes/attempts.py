"""Attempts of a made-up cell in which slip tells of trouble before failures do."""

import numpy as np

from policies.runtime.guardian_tensors import FEATURES
from policies.training.attempt_samples import AttemptSamples
from sim2real.grasping.conditions import FAMILIES

GOOD_RATIO = 0.95


def make_attempts(
    scenes: int = 200, seed: int = 0, tell_m: float = 0.003
) -> AttemptSamples:
    """Return three healthy attempts and one of each other family for every scene.

    Args:
        scenes: how many.
        seed: of what is drawn.
        tell_m: slip at full severity; 0 makes features that tell nothing.
    """
    rng = np.random.default_rng(seed)
    families = [0, 0, 0, *range(1, len(FAMILIES))]
    family = np.tile(np.array(families, dtype=np.int32), scenes)
    scene = np.repeat(np.arange(scenes, dtype=np.int32), len(families))
    severity = np.where(family == 0, 0.0, rng.uniform(0.15, 1.0, len(family)))
    placed = rng.random(len(family)) < GOOD_RATIO - 0.65 * severity**2
    is_double = rng.random(len(family)) < 0.03
    features = rng.normal(0.0, 1.0, (len(family), len(FEATURES)))
    slip_m = np.abs(rng.normal(0.0, 0.0004, len(family))) + severity * tell_m
    features[:, FEATURES.index("lift_slip_m")] = slip_m
    # Closed fingers show that nothing was gripped, and nothing came to the transfer.
    features[:, FEATURES.index("grip_m")] = np.where(placed, 0.04, 0.001)
    shaken = features[:, FEATURES.index("vibration_n")]
    features[:, FEATURES.index("vibration_n")] = np.where(placed, np.abs(shaken), 0.0)
    return AttemptSamples(
        features=features.astype(np.float32),
        scene=scene,
        family=family,
        severity=severity.astype(np.float32),
        is_placed=placed,
        is_one=placed & ~is_double,
    )
