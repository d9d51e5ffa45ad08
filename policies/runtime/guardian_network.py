"""The Guardian's network: one attempt in numbers in, probabilities out.

The answers are handed on as they are: whether a number may be believed is for the
Guardian to decide, which reads anything odd as a reason to fall back.
"""

from pathlib import Path

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.runtime import TensorSession
from policies.guardian_manifest import Calibration, GuardianManifest
from policies.model_directory import read_guardian_directory
from policies.runtime.guardian_tensors import (
    INPUT_NAME,
    OUTPUT_NAMES,
    check_fits,
    make_input,
)
from policies.runtime.onnx_session import OnnxSession


class GuardianNetwork:
    """A loaded Guardian network that fits this release."""

    def __init__(self, manifest: GuardianManifest, session: TensorSession) -> None:
        """Check that the network means what we would ask it.

        Raises:
            ModelError: other features, shapes or outputs.
        """
        check_fits(manifest)
        self._session = session
        self._name = f"{manifest.name}-{manifest.version}"
        self._sha256 = manifest.model_sha256
        self._calibration = manifest.calibration

    @property
    def name(self) -> str:
        """Name and version for the record."""
        return self._name

    @property
    def sha256(self) -> str:
        """Digest of its file."""
        return self._sha256

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
    check_fits(model.manifest)
    return GuardianNetwork(model.manifest, OnnxSession(model))
