"""What one attempt weighs: likelihood ratios counted on attempts kept aside.

An attempt weighs its outcome and, on top, how much more often the risk that the network
saw in it comes from a worse cell, counted in bins among those that ended alike. A
success never weighs more than a failure, and a failure at least half of its outcome.
Few attempts pull the second part towards nothing, so where the features carry nothing,
the table is that of outcomes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safety.run_length import compute_threshold
from safety.sequential_test import EVIDENCE_MAX_NAT, EvidenceTable
from sim2real.grasping.attempt_pools import AttemptPool, Index

Floats = NDArray[np.float64]

_BINS: Final = 10
_FAILED_BINS: Final = 5
_LEAST_FAILED_RATIO: Final = 0.5
"""Of what its outcome weighs: failures that look harmless still fire every chart."""

_PULL_ATTEMPTS: Final = 6.0
_BOOTSTRAPS: Final = 20
_BOOTSTRAP_QUANTILE: Final = 0.8


@dataclass(frozen=True)
class Fall:
    """A fall of the success ratio that a chart looks for.

    Attributes:
        good_ratio: before.
        bad_ratio: after.
    """

    good_ratio: float
    bad_ratio: float

    def outcome_nat(self, *, is_placed: bool) -> float:
        """Return what the outcome alone weighs [nat]."""
        if is_placed:
            return float(np.log(self.bad_ratio / self.good_ratio))
        return float(np.log((1.0 - self.bad_ratio) / (1.0 - self.good_ratio)))


def make_edges(risk: Floats, good: AttemptPool, worse: Sequence[AttemptPool]) -> Floats:
    """Return bounds of bins that hold about as many attempts each, of either end."""
    edges = np.concatenate(
        [
            _split(risk, [pool.placed for pool in (good, *worse)], _BINS),
            _split(risk, [pool.failed for pool in (good, *worse)], _FAILED_BINS),
        ]
    )
    edges = np.unique(np.round(edges, 5))
    return np.asarray(edges[(edges > 0.0) & (edges < 1.0)])


def fit_table(
    risk: Floats,
    edges: Floats,
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
) -> EvidenceTable:
    """Count the table of one fall.

    Args:
        risk: of each recorded attempt.
        edges: bounds of the bins.
        good: attempts before the fall.
        worse: attempts after it, each state with the same say.
        fall: the two success ratios.
    """
    outcome_nat = fall.outcome_nat(is_placed=False)
    failed = outcome_nat + _count_ratios(risk, edges, good, worse, is_placed=False)
    failed = np.clip(failed, _LEAST_FAILED_RATIO * outcome_nat, EVIDENCE_MAX_NAT)
    placed = np.clip(
        fall.outcome_nat(is_placed=True)
        + _count_ratios(risk, edges, good, worse, is_placed=True),
        -EVIDENCE_MAX_NAT,
        failed,
    )
    placed_nat, failed_nat = (
        tuple(float(value) for value in np.floor(row * 1e4) / 1e4)
        for row in (placed, failed)
    )
    return EvidenceTable(tuple(float(edge) for edge in edges), placed_nat, failed_nat)


def find_threshold(
    risk: Floats,
    table: EvidenceTable,
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
    mean_run_length: float,
    rng: np.random.Generator,
) -> float:
    """Return a threshold that keeps the run length although the attempts are few.

    Of thresholds for attempts drawn again and again from the recorded ones, it is a
    high one: what a good cell does seldom may have been missed altogether.
    """
    found = []
    for _ in range(_BOOTSTRAPS):
        weights, shares = count_good(risk, table, good.resample(rng), worse, fall)
        found.append(compute_threshold(weights, shares, mean_run_length, 0.05))
    high = float(np.quantile(found, _BOOTSTRAP_QUANTILE))
    weights, shares = count_good(risk, table, good, worse, fall)
    return max(high, compute_threshold(weights, shares, mean_run_length))


def count_good(
    risk: Floats,
    table: EvidenceTable,
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
) -> tuple[list[float], list[float]]:
    """Return what attempts of a good cell weigh, and how often each weight comes.

    Bins that the good cell never came to are pulled towards the worse ones.
    """
    edges = np.array(table.edges)
    placed, _ = _count_both(risk, edges, good, worse, is_placed=True)
    failed, _ = _count_both(risk, edges, good, worse, is_placed=False)
    weights = [*table.placed_nat, *table.failed_nat]
    shares = [*(fall.good_ratio * placed), *((1.0 - fall.good_ratio) * failed)]
    return weights, [float(share) for share in shares]


def _split(risk: Floats, pools: Sequence[Index], bins: int) -> Floats:
    """Return bounds at equal shares; half the say for each side, good ones first."""
    first, *others = pools
    bad = np.concatenate(others)
    share = np.concatenate(
        [np.full(len(side), 0.5 / max(len(side), 1)) for side in (first, bad)]
    )
    values = risk[np.concatenate([first, bad])]
    order = np.argsort(values, kind="stable")
    heights = np.cumsum(share[order])
    at = np.searchsorted(heights, np.arange(1, bins) / bins)
    return np.asarray(values[order][np.minimum(at, len(order) - 1)])


def _count_ratios(
    risk: Floats,
    edges: Floats,
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    *,
    is_placed: bool,
) -> Floats:
    """Return the log-likelihood ratio of each bin [nat]; it never falls."""
    before, after = _count_both(risk, edges, good, worse, is_placed=is_placed)
    return _make_rising(np.log(after / before), before + after)


def _count_both(
    risk: Floats,
    edges: Floats,
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    *,
    is_placed: bool,
) -> tuple[Floats, Floats]:
    """Return the share of each bin among attempts of one end, pulled together."""

    def count(pool: AttemptPool) -> Floats:
        chosen = pool.placed if is_placed else pool.failed
        bins = np.searchsorted(edges, risk[chosen], side="right")
        return np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)

    before = count(good)
    each = [count(pool) for pool in worse]
    after = sum((row / row.sum() for row in each), np.zeros(len(before)))
    after = after / len(each) * sum(row.sum() for row in each)
    middle = before / before.sum() + after / after.sum() + 0.02 / len(before)
    pulled = _PULL_ATTEMPTS * middle / middle.sum()
    return (
        (before + pulled) / (before.sum() + _PULL_ATTEMPTS),
        (after + pulled) / (after.sum() + _PULL_ATTEMPTS),
    )


def _make_rising(values: Floats, weights: Floats) -> Floats:
    """Return the nearest sequence that never falls (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (float(value), float(weight), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, mass, count = blocks.pop()
            total = mass + block[1]
            block = (
                (mean * mass + block[0] * block[1]) / total,
                total,
                count + block[2],
            )
        blocks.append(block)
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])
