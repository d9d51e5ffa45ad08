"""How long a CUSUM runs before it fires, and the threshold for a stated rate. Pure.

The sum is followed on a lattice (Brook and Evans 1972). Evidence is rounded up to it,
so the lattice's sum is never below the real one: the run length is a lower bound, and a
threshold found here alarms no more often than stated.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np

from safety.sequential_test import THRESHOLD_MAX_NAT

LATTICE_NAT: Final = 0.02
_PROBABILITY_SLACK: Final = 1e-9
# A power of two, so that probabilities can be told to be just within it.
_SUM_SLACK: Final = 2.0**-20


def compute_mean_run_length(
    evidence_nat: Sequence[float],
    probabilities: Sequence[float],
    threshold_nat: float,
    lattice_nat: float = LATTICE_NAT,
) -> float:
    """Return the mean number of attempts until the sum reaches the threshold.

    Args:
        evidence_nat: what each kind of attempt weighs.
        probabilities: how often each kind comes, independent of what came before.
        threshold_nat: above 0.
        lattice_nat: fineness.

    Raises:
        ValueError: these are no probabilities of numbers, or no threshold.
    """
    steps, shares = _check(evidence_nat, probabilities, lattice_nat)
    if not 0.0 < threshold_nat <= THRESHOLD_MAX_NAT:
        raise ValueError(f"threshold_nat must lie within 0..{THRESHOLD_MAX_NAT}")
    return _solve(steps, shares, _count_cells(threshold_nat, lattice_nat))


def compute_threshold(
    evidence_nat: Sequence[float],
    probabilities: Sequence[float],
    mean_run_length: float,
    lattice_nat: float = LATTICE_NAT,
) -> float:
    """Return the lowest threshold on the lattice with at least this mean run length.

    Args:
        evidence_nat: what each kind of attempt weighs.
        probabilities: how often each kind comes from a good policy.
        mean_run_length: attempts between two false alarms.
        lattice_nat: fineness.

    Raises:
        ValueError: as above, or there is no such threshold: good attempts drive the
            sum up.
    """
    steps, shares = _check(evidence_nat, probabilities, lattice_nat)
    if not mean_run_length >= 1.0:
        raise ValueError("mean_run_length must be 1 at least")
    # The run length rises with the threshold, for the lattice stays the same. Short
    # chains are tried first: the time for one grows with the third power of its length.
    high, most = 1, _count_cells(THRESHOLD_MAX_NAT, lattice_nat)
    while high < most and _solve(steps, shares, high) < mean_run_length:
        high = min(2 * high, most)
    too_low = bisect_left(
        range(1, high + 1),
        mean_run_length,
        key=lambda cells: _solve(steps, shares, cells),
    )
    if too_low == high:
        raise ValueError(
            "no threshold gives so few false alarms: what good attempts weigh "
            "drives the sum up"
        )
    return (too_low + 1) * lattice_nat


def _check(
    evidence_nat: Sequence[float], probabilities: Sequence[float], lattice_nat: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return evidence in lattice steps, rounded up, and the probabilities."""
    evidence, shares = np.array(evidence_nat), np.array(probabilities)
    if evidence.shape != shares.shape or not len(evidence):
        raise ValueError("every weight needs its probability")
    if not np.isfinite(evidence).all():
        raise ValueError("evidence must be finite")
    if not ((shares >= 0.0).all() and abs(shares.sum() - 1.0) <= _SUM_SLACK):
        raise ValueError("probabilities must be positive and add up to 1")
    if not 0.0 < lattice_nat <= 1.0:
        raise ValueError("lattice_nat must lie within 0..1")
    steps = np.ceil(evidence / lattice_nat - _PROBABILITY_SLACK).astype(np.int64)
    return steps, shares


def _count_cells(threshold_nat: float, lattice_nat: float) -> int:
    """Return how many places of the lattice lie below a threshold, at least one.

    Rounded down, as evidence is rounded up: both make the chain fire early.
    """
    return max(1, int(np.floor(threshold_nat / lattice_nat + _PROBABILITY_SLACK)))


def _solve(steps: np.ndarray, shares: np.ndarray, cells: int) -> float:
    """Return the mean time from 0 until a chain of `cells` states is left upwards."""
    start = np.arange(cells)
    stay = np.zeros((cells, cells))
    for step, share in zip(steps, shares, strict=True):
        target = np.maximum(start + step, 0)
        inside = target < cells
        np.add.at(stay, (start[inside], target[inside]), share)
    # Nearly singular where the run length is beyond counting, which is long enough.
    try:
        times = np.linalg.solve(np.eye(cells) - stay, np.ones(cells))
    except np.linalg.LinAlgError:
        return np.inf
    first = float(times[0])
    return first if first >= 1.0 else np.inf
