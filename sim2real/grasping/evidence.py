"""What one attempt weighs: likelihood ratios counted on attempts kept aside.

The weight of an attempt is that of its outcome, known from the two success ratios, and
that of the network's risk given the outcome, counted in bins. Few attempts pull the
second part towards nothing, so where the features carry nothing, the table is that of
outcomes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safety.run_length import compute_threshold
from safety.sequential_test import EVIDENCE_MAX_NAT, EvidenceTable
from sim2real.grasping.attempt_pools import AttemptPool

Floats = NDArray[np.float64]

_BINS: Final = 8
_PULL_ATTEMPTS: Final = 12.0
_BOOTSTRAPS: Final = 60
_BOOTSTRAP_QUANTILE: Final = 0.9


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


def make_edges(
    risk: Floats, healthy: AttemptPool, worse: Sequence[AttemptPool]
) -> Floats:
    """Return bounds of bins that hold about as many attempts each."""
    good = np.concatenate([healthy.placed, healthy.failed])
    bad = np.concatenate([np.concatenate([p.placed, p.failed]) for p in worse])
    # Half the say for each side, however many there are.
    share = np.concatenate(
        [np.full(len(good), 0.5 / len(good)), np.full(len(bad), 0.5 / len(bad))]
    )
    values = risk[np.concatenate([good, bad])]
    order = np.argsort(values, kind="stable")
    heights = np.cumsum(share[order])
    at = np.searchsorted(heights, np.arange(1, _BINS) / _BINS)
    edges = np.unique(np.round(values[order][np.minimum(at, len(order) - 1)], 5))
    return np.asarray(edges[(edges > 0.0) & (edges < 1.0)])


def fit_table(
    risk: Floats,
    edges: Floats,
    healthy: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
) -> EvidenceTable:
    """Count the table of one fall.

    Args:
        risk: of each recorded attempt.
        edges: bounds of the bins.
        healthy: attempts before the fall.
        worse: attempts after it, each state with the same say.
        fall: the two success ratios.
    """
    rows = []
    for is_placed in (True, False):
        good, bad = _count_both(risk, edges, healthy, worse, is_placed=is_placed)
        weight = fall.outcome_nat(is_placed=is_placed) + np.log(bad / good)
        rows.append(_make_rising(weight, good + bad))
    placed, failed = rows
    # Where a bin holds hardly any failure, its weight is a guess: at least a success's.
    failed = np.maximum.accumulate(np.maximum(failed, placed))
    limit = EVIDENCE_MAX_NAT
    return EvidenceTable(
        tuple(float(edge) for edge in edges),
        tuple(float(value) for value in np.round(np.clip(placed, -limit, limit), 4)),
        tuple(float(value) for value in np.round(np.clip(failed, -limit, limit), 4)),
    )


def find_threshold(
    risk: Floats,
    table: EvidenceTable,
    healthy: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
    mean_run_length: float,
    rng: np.random.Generator,
) -> float:
    """Return a threshold that keeps the run length although the attempts are few.

    Of thresholds for attempts drawn again and again from the recorded ones, it is a
    high one: what the healthy cell does seldom may have been missed altogether.
    """
    found = []
    for _ in range(_BOOTSTRAPS):
        weights, shares = count_healthy(risk, table, healthy.resample(rng), worse, fall)
        found.append(compute_threshold(weights, shares, mean_run_length, 0.05))
    high = float(np.quantile(found, _BOOTSTRAP_QUANTILE))
    weights, shares = count_healthy(risk, table, healthy, worse, fall)
    return max(high, compute_threshold(weights, shares, mean_run_length))


def count_healthy(
    risk: Floats,
    table: EvidenceTable,
    healthy: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
) -> tuple[list[float], list[float]]:
    """Return what attempts of the healthy cell weigh, and how often each weight comes.

    Bins that the healthy cell never came to are pulled towards the worse ones.
    """
    edges = np.array(table.edges)
    weights, shares = [], []
    rows = ((True, table.placed_nat), (False, table.failed_nat))
    for is_placed, row in rows:
        good, _ = _count_both(risk, edges, healthy, worse, is_placed=is_placed)
        chance = fall.good_ratio if is_placed else 1.0 - fall.good_ratio
        weights += list(row)
        shares += [float(share) for share in chance * good]
    total = sum(shares)
    return weights, [share / total for share in shares]


def _count_both(
    risk: Floats,
    edges: Floats,
    healthy: AttemptPool,
    worse: Sequence[AttemptPool],
    *,
    is_placed: bool,
) -> tuple[Floats, Floats]:
    """Return the share of each bin, healthy and worse, pulled towards each other."""

    def count(pool: AttemptPool) -> Floats:
        index = pool.placed if is_placed else pool.failed
        bins = np.searchsorted(edges, risk[index], side="right")
        return np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)

    good = count(healthy)
    each = [count(pool) for pool in worse]
    bad = sum((row / row.sum() for row in each), np.zeros(len(good)))
    bad = bad / len(each) * sum(row.sum() for row in each)
    middle = good / good.sum() + bad / bad.sum() + 0.02 / len(good)
    middle = middle / middle.sum()
    pull = _PULL_ATTEMPTS
    return (
        (good + pull * middle) / (good.sum() + pull),
        (bad + pull * middle) / (bad.sum() + pull),
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
