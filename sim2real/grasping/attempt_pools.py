"""Recorded attempts sorted into what streams of attempts are drawn from.

A stream has a stated success ratio. Its attempts come from states of the cell whose own
ratio is near that, so that features are as telling as they are at just this fall: the
marks of a cell that fails every second time must not pass for those of one that fails
every fifth time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.training.attempt_samples import AttemptSamples
from sim2real.grasping.conditions import FAMILIES, Family

Index = NDArray[np.intp]

SAME_LOOK: Final = "only failures more often"
"""Failures of the good cell, more of them: here features tell nothing."""

_WINDOW_RATIO: Final = 0.4
_WINDOW_MIN: Final = 12
_RATIO_SLACK: Final = 0.12
_OUTCOMES_MIN: Final = 2


@dataclass(frozen=True, eq=False)
class AttemptPool:
    """Attempts of one state of the cell, as indices into the recorded ones.

    Attributes:
        name: of the state.
        own_ratio: the share of these attempts that was placed.
        placed: those that were.
        failed: the others.
    """

    name: str
    own_ratio: float
    placed: Index
    failed: Index

    def resample(self, rng: np.random.Generator) -> "AttemptPool":
        """Return as many attempts, drawn with repetition."""
        return AttemptPool(
            self.name,
            self.own_ratio,
            rng.choice(self.placed, len(self.placed)),
            rng.choice(self.failed, len(self.failed)),
        )


def make_good_pool(samples: AttemptSamples) -> AttemptPool:
    """Return the attempts of good cells, with failures of those nearly as good.

    Raises:
        ValueError: there are too few of one kind.
    """
    placed = np.flatnonzero(samples.is_good & samples.is_placed)
    failed = np.flatnonzero(samples.is_mild & ~samples.is_placed)
    if min(len(placed), len(failed)) < _OUTCOMES_MIN:
        raise ValueError("too few attempts of a good cell to judge anything by")
    return AttemptPool(
        "good", float(samples.is_placed[samples.is_good].mean()), placed, failed
    )


def make_worse_pools(
    samples: AttemptSamples, ratio: float, families: Sequence[Family]
) -> list[AttemptPool]:
    """Return one pool for each family that has attempts near a success ratio.

    Args:
        samples: recorded attempts.
        ratio: success ratio of the streams to draw.
        families: to look at.
    """
    pools = []
    for family in families:
        is_one = samples.family == FAMILIES.index(family)
        index = np.flatnonzero(is_one & ~samples.is_good)
        window = find_window(samples, index, ratio)
        pool = None if window is None else _make_pool(family.value, samples, window)
        if pool is not None and abs(pool.own_ratio - ratio) <= _RATIO_SLACK:
            pools.append(pool)
    return pools


def find_window(samples: AttemptSamples, index: Index, ratio: float) -> Index | None:
    """Return the attempts of a range of severities whose success is nearest to a ratio.

    Args:
        samples: recorded attempts.
        index: those of one family.
        ratio: wanted success ratio.
    """
    size = max(_WINDOW_MIN, round(_WINDOW_RATIO * len(index)))
    if len(index) < size:
        return None
    ordered = index[np.argsort(samples.severity[index], kind="stable")]
    placed = np.concatenate([[0], np.cumsum(samples.is_placed[ordered])])
    ratios = (placed[size:] - placed[:-size]) / size
    start = int(np.argmin(np.abs(ratios - ratio)))
    return ordered[start : start + size]


def _make_pool(name: str, samples: AttemptSamples, index: Index) -> AttemptPool | None:
    is_placed = samples.is_placed[index]
    if min(is_placed.sum(), (~is_placed).sum()) < _OUTCOMES_MIN:
        return None
    return AttemptPool(
        name, float(is_placed.mean()), index[is_placed], index[~is_placed]
    )
