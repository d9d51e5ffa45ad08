"""What goes into the Guardian's network and what comes out, and whether a model fits.

Apart from the network itself, so that whoever only reads manifests needs no runtime.
"""

from dataclasses import fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.attempt import AttemptFeatures
from cell.contracts.errors import ModelError
from policies.guardian_manifest import HEADS, TROUBLES, GuardianManifest

INPUT_NAME: Final = "features"
OUTPUT_NAMES: Final = (
    *HEADS,
    "novelty",
    "troubles",
)
OUTPUT_SIZES: Final = (1, 1, 1, 1, TROUBLES)

FEATURES: Final = tuple(
    field.name
    for field in fields(AttemptFeatures)
    if field.name not in {"attempt", "stamp_ns"}
)
"""Columns of the network's input; the unit is in the name."""


def make_input(features: AttemptFeatures) -> NDArray[np.float32]:
    """Return the network's input, shape (1, features)."""
    return np.array([[getattr(features, name) for name in FEATURES]], np.float32)


def check_fits(manifest: GuardianManifest) -> None:
    """Check that a network means what we would ask it.

    Raises:
        ModelError: other features, shapes or outputs.
    """
    label = f"guardian {manifest.name}-{manifest.version}"
    remedy = "train and export the Guardian again"
    if manifest.features != FEATURES:
        odd = set(manifest.features).symmetric_difference(FEATURES)
        which = ", ".join(sorted(odd)) or "their order"
        raise ModelError(
            f"{label}: features: it was trained on others than this release measures "
            f"({which}); {remedy}"
        )
    wanted = {INPUT_NAME: (1, len(FEATURES))}
    wanted |= {
        name: (1, size) for name, size in zip(OUTPUT_NAMES, OUTPUT_SIZES, strict=True)
    }
    found = {spec.name: spec.shape for spec in (*manifest.inputs, *manifest.outputs)}
    if found != wanted:
        raise ModelError(
            f"{label}: inputs and outputs: {found} are not {wanted}; {remedy}"
        )
