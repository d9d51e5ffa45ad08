"""Grasp attempts on disk: features, how they ended, and the state of the cell.

Whoever records attempts writes these files; training and evaluation read them and know
nothing of their origin.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError
from policies.runtime.guardian_tensors import FEATURES

EVALUATION_FILE = "evaluation.npz"
"""Beside a model: the attempts that it is evaluated on."""

GOOD_SEVERITY = 0.35
"""Up to here a cell counts as good: none is without tolerances and some wear."""

MILD_SEVERITIES = (0.0, 0.55, 0.56, 0.27, 0.45, 0.33, 0.54, 0.34, 0.84)
"""Up to here, by the number of the family, 95 of 100 grasps succeed. Failures of a good
cell are borrowed from these, for simulated good cells hardly ever fail."""

_COLUMNS = ("features", "scene", "family", "severity", "is_placed", "is_one")


@dataclass(frozen=True, eq=False)
class AttemptSamples:
    """Attempts as columns of equal length.

    Attributes:
        features: shape (attempts, features), in the order of `FEATURES`.
        scene: number of the clutter scene.
        family: number of what was wrong with the cell, 0 for nothing.
        severity: how much, 0..1.
        is_placed: whether the cell counted it as placed.
        is_one: whether it really was exactly one part.
    """

    features: NDArray[np.float32]
    scene: NDArray[np.int32]
    family: NDArray[np.int32]
    severity: NDArray[np.float32]
    is_placed: NDArray[np.bool_]
    is_one: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.scene)

    @property
    def is_good(self) -> NDArray[np.bool_]:
        """Which attempts are those of a cell that is as it should be."""
        return np.asarray((self.severity <= GOOD_SEVERITY) & self.is_mild)

    @property
    def is_mild(self) -> NDArray[np.bool_]:
        """Which attempts are those of a cell whose failures a good cell may have."""
        return np.asarray(self.severity <= np.array(MILD_SEVERITIES)[self.family])

    def first_tries(self) -> Self:
        """Return the attempts without those that repeat a failed one in its state.

        A second choice has fewer others below it, so it shows that the last attempt
        failed. Recent outcomes are no feature: the sum remembers them already.
        """
        is_second = np.zeros(len(self), dtype=np.bool_)
        same = np.ones(max(len(self) - 1, 0), dtype=np.bool_)
        for column in (self.scene, self.family, self.severity):
            same &= column[1:] == column[:-1]
        is_second[1:] = same & (self.family[1:] > 0)
        return self.select(~is_second)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return some of the attempts."""
        return type(self)(*(getattr(self, name)[chosen] for name in _COLUMNS))


def write_attempts(path: Path, samples: AttemptSamples) -> None:
    """Write one file; it appears whole or not at all."""
    draft = path.with_suffix(".part")
    with draft.open("wb") as file:
        np.savez_compressed(file, **{name: getattr(samples, name) for name in _COLUMNS})
    draft.replace(path)


def read_attempts(path: Path) -> AttemptSamples:
    """Read one file.

    Raises:
        ModelError: it is missing, damaged or holds something else.
    """
    remedy = "delete it and make it again with `policy train guardian`"
    try:
        # Opened here, for numpy forgets to close a file that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            samples = AttemptSamples(*(content[name] for name in _COLUMNS))
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ModelError(f"{path}: no usable attempts ({error}); {remedy}") from error
    lengths = {len(getattr(samples, name)) for name in _COLUMNS}
    shape = (len(samples), len(FEATURES))
    if len(lengths) != 1 or samples.features.shape != shape:
        raise ModelError(f"{path}: attempts of another shape; {remedy}")
    if not np.isfinite(samples.features).all():
        raise ModelError(
            f"{path}: attempts with features that are no numbers; {remedy}"
        )
    return samples


def join_attempts(parts: Sequence[AttemptSamples]) -> AttemptSamples:
    """Join the attempts of several files."""
    return AttemptSamples(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS)
    )


def compute_attempts_digest(samples: AttemptSamples) -> str:
    """Return the sha256 over all columns, independent of how they were stored."""
    digest = hashlib.sha256()
    for name in _COLUMNS:
        array = np.ascontiguousarray(getattr(samples, name))
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
