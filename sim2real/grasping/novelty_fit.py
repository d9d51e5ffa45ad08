"""Fits a model's statistics of its training inputs again, without training it again.

The inputs are those in the work folder of its training. Their digest has to be the one
in the manifest: statistics of other pictures would say nothing about this network.
"""

import tempfile
from pathlib import Path

from cell.contracts.errors import ModelError
from policies.manifest import MANIFEST_NAME, SceneNovelty
from policies.model_directory import read_model_directory
from policies.training.novelty import fit_novelty
from policies.training.samples import compute_digest, concatenate, read_samples


def refit_novelty(work: Path, directory: Path) -> SceneNovelty:
    """Write a model's manifest anew with fresh statistics; its weights stay.

    Args:
        work: work folder of the training run.
        directory: of the model.

    Raises:
        ModelError: the model cannot be used, or the folder does not hold the very
            data that it was trained on.
    """
    manifest = read_model_directory(directory).manifest
    paths = sorted(work.glob("labels_*.npz"))
    if not paths:
        raise ModelError(
            f"{work} holds no labels: name the --work folder of the training of "
            f"{manifest.name}-{manifest.version}, or train it again"
        )
    samples = concatenate([read_samples(path) for path in paths])
    digest = compute_digest(samples)
    if digest != manifest.data_sha256:
        raise ModelError(
            f"{work} holds data with digest {digest[:12]}..., the model was trained "
            f"on {manifest.data_sha256[:12]}...: name the work folder of its training"
        )
    novelty = fit_novelty(samples.heights_m)
    text = manifest.model_copy(update={"novelty": novelty}).model_dump_json(indent=2)
    # A cell may start from this directory at any moment: a rename is whole.
    with tempfile.TemporaryDirectory(prefix=".novelty-", dir=directory) as folder:
        draft = Path(folder) / MANIFEST_NAME
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(directory / MANIFEST_NAME)
    return novelty
