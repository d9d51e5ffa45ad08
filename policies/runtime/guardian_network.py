"""The Guardian's network: one attempt in numbers in, probabilities out.

The answers are handed on as they are: whether a number may be believed is for the
Guardian to decide, which reads anything odd as a reason to fall back.
"""

from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.errors import ModelError
from cell.contracts.runtime import TensorSession
from policies.guardian_manifest import TROUBLES, Calibration, GuardianManifest
from policies.model_directory import read_guardian_directory
from policies.runtime.onnx_session import OnnxSession

INPUT_NAME: Final = "features"
OUTPUT_NAMES: Final = (
    "success",
    "silent_failure",
    "next_success",
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


class GuardianNetwork:
    """A loaded Guardian network that fits this release."""

    def __init__(self, manifest: GuardianManifest, session: TensorSession) -> None:
        """Check that the network means what we would ask it.

        Raises:
            ModelError: other features, shapes or outputs.
        """
        _check_fits(manifest)
        self._session = session
        self._name = f"{manifest.name}-{manifest.version}"
        self._calibration = manifest.calibration

    @property
    def name(self) -> str:
        """Name and version for the record."""
        return self._name

    @property
    def calibration(self) -> Calibration:
        """What its answers are worth."""
        return self._calibration

    def judge(self, features: AttemptFeatures, stamp_ns: int) -> AttemptJudgement:
        """Answer one attempt.

        Args:
            features: of the attempt.
            stamp_ns: monotonic clock, for the answer.

        Raises:
            PolicyError: the network failed.
        """
        outputs = self._session.run({INPUT_NAME: make_input(features)})
        success, silent, following, novelty = (
            float(outputs[name].reshape(-1)[0]) for name in OUTPUT_NAMES[:4]
        )
        return AttemptJudgement(
            attempt=features.attempt,
            stamp_ns=stamp_ns,
            success=success,
            silent_failure=silent,
            next_success=following,
            troubles=tuple(float(one) for one in outputs[OUTPUT_NAMES[4]].reshape(-1)),
            novelty=novelty,
        )


def load_guardian(directory: Path) -> GuardianNetwork:
    """Verify, load and warm up one Guardian network.

    Raises:
        ModelError: the directory holds no usable one.
    """
    model = read_guardian_directory(directory)
    # Before the file is opened as a model: what does not fit is not even parsed.
    _check_fits(model.manifest)
    return GuardianNetwork(model.manifest, OnnxSession(model))


def make_input(features: AttemptFeatures) -> NDArray[np.float32]:
    """Return the network's input, shape (1, features)."""
    return np.array([[getattr(features, name) for name in FEATURES]], np.float32)


def _check_fits(manifest: GuardianManifest) -> None:
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
