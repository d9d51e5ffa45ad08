"""Export of the Guardian network, with a proof that the graph computes the same."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import torch

from cell.contracts.errors import ModelError
from policies.guardian_manifest import Calibration, GuardianManifest
from policies.manifest import MANIFEST_NAME, TensorSpec
from policies.model_directory import read_guardian_directory
from policies.runtime.guardian_tensors import (
    FEATURES,
    INPUT_NAME,
    OUTPUT_NAMES,
    OUTPUT_SIZES,
)
from policies.runtime.onnx_session import OnnxSession
from policies.training.attempt_samples import (
    EVALUATION_FILE,
    AttemptSamples,
    compute_attempts_digest,
    write_attempts,
)
from policies.training.export import MODEL_FILE, Provenance, convert_to_onnx
from policies.training.guardian_fit import predict
from policies.training.guardian_net import GuardianNet

PARITY_TOLERANCE = 1e-5
_PARITY_ATTEMPTS = 256


def export_guardian(
    network: GuardianNet,
    directory: Path,
    provenance: Provenance,
    calibration: Calibration,
    evaluation: AttemptSamples,
) -> float:
    """Compare the exported model with the network, then put it in its place.

    Args:
        network: trained and calibrated.
        directory: made if absent; what it held is replaced once the new one has passed.
        provenance: what the manifest says of the origin.
        calibration: of the sequential tests.
        evaluation: attempts that nothing was fitted to; they go beside the model.

    Returns:
        The largest absolute difference of any output.

    Raises:
        ModelError: the exported model computes something else; nothing was replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = convert_to_onnx(
        network.eval(),
        torch.zeros(1, len(FEATURES)),
        [INPUT_NAME],
        list(OUTPUT_NAMES),
    )
    manifest = _make_manifest(content, provenance, calibration, evaluation)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as folder:
        draft = Path(folder)
        (draft / MODEL_FILE).write_bytes(content)
        text = manifest.model_dump_json(indent=2)
        (draft / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
        write_attempts(draft / EVALUATION_FILE, evaluation)
        difference = _compute_parity(network, draft, evaluation)
        # Written so that a difference that is no number fails the test too.
        if not difference <= PARITY_TOLERANCE:
            raise ModelError(
                f"the exported model differs from the network by {difference:.1e}, "
                f"more than {PARITY_TOLERANCE:.0e}; {directory} keeps what it held"
            )
        for name in (EVALUATION_FILE, MODEL_FILE, MANIFEST_NAME):
            (draft / name).replace(directory / name)
    return difference


def _compute_parity(
    network: GuardianNet, directory: Path, samples: AttemptSamples
) -> float:
    session = OnnxSession(read_guardian_directory(directory))
    features = samples.features[:_PARITY_ATTEMPTS]
    if not len(features):
        raise ModelError(f"{directory}: no attempt to compare the export on")
    expected = predict(network, features)
    worst = 0.0
    for row, wanted in zip(features, expected, strict=True):
        outputs = session.run({INPUT_NAME: row[None]})
        found = np.concatenate([outputs[name][0] for name in OUTPUT_NAMES])
        gap = float(np.max(np.abs(found - wanted)))
        worst = max(worst, gap if np.isfinite(gap) else float("inf"))
    return worst


def _make_manifest(
    content: bytes,
    provenance: Provenance,
    calibration: Calibration,
    evaluation: AttemptSamples,
) -> GuardianManifest:
    return GuardianManifest(
        name=provenance.name,
        version=provenance.version,
        family="guardian",
        created_at=provenance.created_at,
        model_file=MODEL_FILE,
        model_sha256=hashlib.sha256(content).hexdigest(),
        inputs=(
            TensorSpec(
                name=INPUT_NAME,
                shape=(1, len(FEATURES)),
                dtype="float32",
                unit="the suffix of each feature's name, 1 without one",
                frame="one attempt; columns as in `features`",
                normalisation="none outside the graph",
            ),
        ),
        outputs=tuple(
            TensorSpec(
                name=name,
                shape=(1, size),
                dtype="float32",
                unit="1",
                frame="the attempt",
                normalisation=(
                    "mean squared distance in standard deviations"
                    if name == "novelty"
                    else "probability, 0..1"
                ),
            )
            for name, size in zip(OUTPUT_NAMES, OUTPUT_SIZES, strict=True)
        ),
        seed=provenance.seed,
        data_sha256=provenance.data_sha256,
        git_commit=provenance.git_commit,
        metrics=provenance.metrics,
        features=FEATURES,
        calibration=calibration,
        evaluation_sha256=compute_attempts_digest(evaluation),
    )
