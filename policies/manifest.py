"""The manifest beside every model file: what the network is, eats and answers.

A manifest is read before the model file is even opened as a model: it names the file's
digest, every tensor with shape, type, unit and frame, the data and seed the weights
came from, and the measured quality.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from cell.contracts.errors import ModelError
from cell.contracts.model import Section

MANIFEST_NAME = "manifest.json"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class TensorSpec(Section):
    """One input or output of the network.

    Attributes:
        name: name in the graph.
        shape: fixed sizes; the runtime refuses any other.
        dtype: element type.
        unit: SI unit, or `1` for pure numbers.
        frame: coordinate frame, or a phrase that says how axes map to it.
        normalisation: what happens to the values, and where.
    """

    name: Name
    shape: tuple[Annotated[int, Field(ge=1, le=1 << 20)], ...]
    dtype: Literal["float32", "float64", "int64", "uint8", "bool"]
    unit: str
    frame: str
    normalisation: str


class GraspGrid(Section):
    """How the pixels of a heightmap grasp network map to grasps.

    Attributes:
        size_px: side of the heightmap.
        pixel_m: size of one pixel.
        angles: rotations over half a turn; number k closes along k * pi / angles.
        apertures_m: finger openings on the way down, one per output channel.
        closed_tip_m: distance from the flange to the finger tips when closed.
    """

    size_px: Annotated[int, Field(ge=8, le=512)]
    pixel_m: Annotated[float, Field(gt=0, le=0.05)]
    angles: Annotated[int, Field(ge=1, le=64)]
    apertures_m: tuple[Annotated[float, Field(gt=0, le=0.3)], ...]
    closed_tip_m: Annotated[float, Field(gt=0, le=0.5)]


class SceneNovelty(Section):
    """What the training inputs looked like, as a normal distribution of features.

    Attributes:
        features: their names, in the order of the arrays.
        mean: of each feature.
        whitening: matrix that makes features without their mean uncorrelated and of
            spread one, row by row.
        quantile: of the held-out scores that the threshold is.
        threshold: scores beyond it are out of the distribution.
        fitted: inputs that mean and matrix were fitted to.
        held_out: inputs that the threshold was set on.
    """

    features: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)]
    mean: tuple[_Finite, ...]
    whitening: tuple[tuple[_Finite, ...], ...]
    quantile: Annotated[float, Field(gt=0.5, lt=1.0)]
    threshold: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    fitted: Annotated[int, Field(ge=1)]
    held_out: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _arrays_fit_the_features(self) -> Self:
        count = len(self.features)
        widths = {len(self.mean), *(len(row) for row in self.whitening)}
        if widths != {count} or len(self.whitening) != count:
            raise ValueError(f"mean and whitening must be of {count} features")
        return self


class ModelManifest(Section):
    """What every manifest says of its model file, and where it came from.

    Attributes:
        format_version: version of this schema.
        name: name of the policy.
        version: version of the weights.
        created_at: wall time of the export, UTC.
        model_file: file name beside the manifest.
        model_sha256: digest of that file.
        inputs: tensors the network expects.
        outputs: tensors it answers with.
        seed: seed of data and training.
        data_sha256: digest over the training data.
        git_commit: source revision of the training code, when known.
        metrics: measured figures, by name.
    """

    format_version: Literal[1] = 1
    name: Name
    version: Name
    created_at: datetime
    model_file: Name
    model_sha256: Digest
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]
    data_sha256: Digest
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")] | None = None
    metrics: Mapping[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tensor_names_are_unique(self) -> Self:
        for specs in (self.inputs, self.outputs):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                raise ValueError("tensor names must differ from each other")
        return self


class Manifest(ModelManifest):
    """Everything the runtime must know about a grasp network.

    Attributes:
        family: which runtime class runs it.
        grid: meaning of the output pixels.
        novelty: what its training inputs looked like; None: every picture is answered.
    """

    family: Literal["heightmap"]
    grid: GraspGrid
    novelty: SceneNovelty | None = None


def parse_manifest(text: str, origin: str) -> Manifest:
    """Parse manifest text; `origin` names it in errors.

    Raises:
        ModelError: it is no JSON or breaks the schema; names the first bad key.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{origin}: {key}: {first['msg']}; export the model again"
        ) from error
