"""Export to ONNX with a proof that the exported graph computes the same."""

import hashlib
import logging
import tempfile
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cell.contracts.errors import ModelError
from policies.manifest import (
    MANIFEST_NAME,
    GraspGrid,
    Manifest,
    SceneNovelty,
    TensorSpec,
)
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import INPUT_NAME, SCORE_NAME, TIP_NAME
from policies.runtime.onnx_session import OnnxSession
from policies.training.network import GraspNetwork

OPSET = 18
PARITY_TOLERANCE = 2e-4
MODEL_FILE = "model.onnx"


@dataclass(frozen=True)
class Provenance:
    """Where weights came from.

    Attributes:
        name: of the policy.
        version: of the weights.
        seed: of data and training.
        data_sha256: digest over the training data.
        git_commit: source revision, None when unknown.
        metrics: measured figures, by name.
        created_at: wall time, UTC.
        novelty: what the training inputs looked like, None where they are too few.
    """

    name: str
    version: str
    seed: int
    data_sha256: str
    git_commit: str | None
    metrics: dict[str, float]
    created_at: datetime
    novelty: SceneNovelty | None = None


def export_network(
    network: GraspNetwork,
    directory: Path,
    provenance: Provenance,
    samples: list[NDArray[np.float32]],
) -> float:
    """Compare the exported model with the network, then put it in its place.

    Args:
        network: trained weights.
        directory: made if absent; an older model in it is replaced once the new one
            has passed, and stays otherwise.
        provenance: what the manifest says of the origin.
        samples: heightmaps, shape (n, n) each, to compare on.

    Returns:
        The largest absolute difference of any score.

    Raises:
        ModelError: the exported model computes something else; nothing was replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    network.eval()
    size = network.shape.size_px
    content = convert_to_onnx(
        network,
        torch.zeros(1, 1, size, size),
        [INPUT_NAME],
        [SCORE_NAME, TIP_NAME],
    )
    manifest = make_manifest(network, content, provenance)
    # A cell may start from this directory at any moment: it never holds a model that
    # has not been compared. Beside it, for a rename within one file system is whole.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as folder:
        draft = Path(folder)
        (draft / MODEL_FILE).write_bytes(content)
        text = manifest.model_dump_json(indent=2)
        (draft / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
        difference = compute_parity(network, draft, samples)
        # Written so that a difference that is no number fails the test too.
        if not difference <= PARITY_TOLERANCE:
            raise ModelError(
                f"the exported model differs from the network by {difference:.1e}, "
                f"more than {PARITY_TOLERANCE:.0e}; {directory} keeps what it held"
            )
        # The manifest names a digest, so a crash between the two is noticed.
        for name in (MODEL_FILE, MANIFEST_NAME):
            (draft / name).replace(directory / name)
    return difference


def compute_parity(
    network: GraspNetwork, directory: Path, samples: list[NDArray[np.float32]]
) -> float:
    """Return the largest absolute difference between ONNX and torch outputs.

    Tip heights are compared in metres, scores as probabilities.

    Raises:
        ModelError: the directory holds no usable model, or there is nothing to compare.
    """
    if not samples:
        raise ModelError(f"{directory}: no heightmap to compare the export on")
    session = OnnxSession(read_model_directory(directory))
    worst = 0.0
    for heights in samples:
        outputs = session.run({INPUT_NAME: heights[None, None]})
        with torch.no_grad():
            score, tip = network(torch.from_numpy(heights)[None, None])
        for name, tensor in ((SCORE_NAME, score), (TIP_NAME, tip)):
            gap = float(np.max(np.abs(outputs[name] - tensor.numpy())))
            worst = max(worst, gap if np.isfinite(gap) else float("inf"))
    return worst


def make_manifest(
    network: GraspNetwork, content: bytes, provenance: Provenance
) -> Manifest:
    """Describe an exported network."""
    shape = network.shape
    maps = (shape.angles, len(shape.apertures_m), shape.size_px, shape.size_px)
    axes = "angle, aperture, row, column; rows along tool y, columns along tool x"
    return Manifest(
        name=provenance.name,
        version=provenance.version,
        family="heightmap",
        created_at=provenance.created_at,
        model_file=MODEL_FILE,
        model_sha256=hashlib.sha256(content).hexdigest(),
        inputs=(
            TensorSpec(
                name=INPUT_NAME,
                shape=(1, 1, shape.size_px, shape.size_px),
                dtype="float32",
                unit="m",
                frame="bin; rows along +y, columns along +x, centred",
                normalisation="none outside the graph",
            ),
        ),
        outputs=(
            TensorSpec(
                name=SCORE_NAME,
                shape=maps,
                dtype="float32",
                unit="1",
                frame=axes,
                normalisation="probability of success, 0..1",
            ),
            TensorSpec(
                name=TIP_NAME,
                shape=maps,
                dtype="float32",
                unit="m",
                frame=axes,
                normalisation="height of the closed finger tips above the bin floor",
            ),
        ),
        grid=GraspGrid(
            size_px=shape.size_px,
            pixel_m=shape.pixel_m,
            angles=shape.angles,
            apertures_m=shape.apertures_m,
            closed_tip_m=network.fingers.closed_tip_m,
        ),
        novelty=provenance.novelty,
        seed=provenance.seed,
        data_sha256=provenance.data_sha256,
        git_commit=provenance.git_commit,
        metrics=provenance.metrics,
    )


def convert_to_onnx(
    network: torch.nn.Module,
    example: torch.Tensor,
    input_names: list[str],
    output_names: list[str],
) -> bytes:
    """Return a network as a checked ONNX file.

    Args:
        network: in evaluation mode.
        example: an input; fixes its shape.
        input_names: of the graph.
        output_names: of the graph.

    Raises:
        ModelError: torch exported nothing.
    """
    # It also tells everybody that torchvision, which nothing here uses, is absent.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch's exporter calls functions of its own that it has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=input_names,
            output_names=output_names,
            verbose=False,
        )
    return read_program(program)


def read_program(program: "torch.onnx.ONNXProgram | None") -> bytes:
    """Return the checked content of what torch exported.

    Raises:
        ModelError: it exported nothing.
    """
    if program is None:
        raise ModelError("torch exported nothing")
    model: onnx.ModelProto = program.model_proto
    strip_notes(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def strip_notes(model: onnx.ModelProto) -> None:
    """Take out what the exporter wrote for its own developers.

    Above all the stack trace of each node, which holds paths of the machine that the
    model was trained on. Nothing that computes is touched.
    """
    graph = model.graph
    for noted in (
        *(model, graph),
        *(*graph.node, *graph.value_info, *graph.initializer),
        *(*graph.input, *graph.output),
        *(node for function in model.functions for node in (function, *function.node)),
    ):
        del noted.metadata_props[:]
        noted.doc_string = ""
