"""Labelled grasps on disk: heightmaps and sparse labels, as plain arrays in `.npz`.

Whoever makes the labels (a simulator, a real cell's record) writes these files;
training reads them and knows nothing of their origin.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError

_COLUMNS = ("scene", "angle", "aperture", "row", "col", "success", "score")


@dataclass(frozen=True, eq=False)
class GraspSamples:
    """Heightmaps and the grasps tried on them.

    Attributes:
        heights_m: (scenes, n, n) float32 [m] above the bin floor.
        scene: (grasps,) index into `heights_m`.
        angle: (grasps,) number of the rotation.
        aperture: (grasps,) number of the finger opening.
        row: (grasps,) row of the rotated map.
        col: (grasps,) column of the rotated map.
        success: (grasps,) 1 when exactly one part was held, else 0.
        score: (grasps,) what the network of that time said, NaN before there was one.
    """

    heights_m: NDArray[np.float32]
    scene: NDArray[np.int32]
    angle: NDArray[np.int32]
    aperture: NDArray[np.int32]
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    success: NDArray[np.float32]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scene)


def write_samples(path: Path, samples: GraspSamples) -> None:
    """Write one file; it appears whole or not at all."""
    draft = path.with_suffix(".part")
    columns = {name: getattr(samples, name) for name in _COLUMNS}
    with draft.open("wb") as file:
        np.savez_compressed(file, heights_m=samples.heights_m, **columns)
    draft.replace(path)


def read_samples(path: Path) -> GraspSamples:
    """Read one file.

    Raises:
        ModelError: it is missing, damaged or holds something else.
    """
    try:
        # Opened here, for numpy forgets to close a file that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return GraspSamples(
                heights_m=content["heights_m"],
                **{name: content[name] for name in _COLUMNS},
            )
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ModelError(
            f"{path}: no usable grasp samples ({error}); delete it and make it again"
        ) from error


def concatenate(parts: Sequence[GraspSamples]) -> GraspSamples:
    """Join samples of several files."""
    offsets = np.cumsum([0, *(len(part.heights_m) for part in parts)])
    scenes = [part.scene + offsets[i] for i, part in enumerate(parts)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _COLUMNS
        if name != "scene"
    }
    return GraspSamples(
        heights_m=np.concatenate([part.heights_m for part in parts]),
        scene=np.concatenate(scenes).astype(np.int32),
        **joined,
    )


def compute_digest(samples: GraspSamples) -> str:
    """Return the sha256 over all arrays, independent of how they were stored."""
    digest = hashlib.sha256()
    for name in ("heights_m", *_COLUMNS):
        array = np.ascontiguousarray(getattr(samples, name))
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
