"""From a fitted network and attempts kept aside to the calibration in its manifest."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.guardian_manifest import Calibration, EvidenceSpec, ReliabilityBin
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_fit import compute_targets, measure_reliability
from policies.training.guardian_net import HEADS
from safety.run_length import compute_mean_run_length
from sim2real.grasping.attempt_pools import make_healthy_pool, make_worse_pools
from sim2real.grasping.conditions import FAMILIES, UNSEEN, Family
from sim2real.grasping.evidence import (
    Fall,
    count_healthy,
    find_threshold,
    fit_table,
    make_edges,
)

GOOD_RATIO: Final = 0.95
BAD_RATIOS: Final = (0.80, 0.50)
"""Falls that the charts look for, side by side."""

GOOD_ATTEMPTS_PER_ALARM: Final = 10_000.0
"""Of all charts together."""

TRAINED: Final = tuple(
    family for family in FAMILIES if family not in (Family.HEALTHY, *UNSEEN)
)
_USUAL_QUANTILE: Final = 0.995
_NOVELTY_COLUMN: Final = 3
_NEXT_COLUMN: Final = 2


@dataclass(frozen=True)
class Answers:
    """What a network says of recorded attempts.

    Attributes:
        outputs: shape (attempts, 4), in the order of the network's outputs.
    """

    outputs: NDArray[np.float32]

    def risk(self, novelty_max: float) -> NDArray[np.float64]:
        """Return the risk that the tests weigh; of what is too novel, the worst."""
        following = self.outputs[:, _NEXT_COLUMN].astype(np.float64)
        is_usual = self.outputs[:, _NOVELTY_COLUMN] <= novelty_max
        return np.where(is_usual, 1.0 - following, 1.0)


def calibrate(
    answers: Answers, kept_aside: AttemptSamples, seed: int
) -> Calibration:
    """Make the charts and their thresholds from attempts the network never saw.

    Args:
        answers: of the network to the attempts kept aside.
        kept_aside: those attempts, without the families that stay unseen.
        seed: of what is drawn.

    Raises:
        ValueError: there are too few attempts to say anything.
    """
    healthy = make_healthy_pool(kept_aside)
    novelty = answers.outputs[kept_aside.family == 0, _NOVELTY_COLUMN]
    novelty_max = round(float(np.quantile(novelty, _USUAL_QUANTILE)), 3)
    risk = answers.risk(novelty_max)
    charts = []
    for bad_ratio in BAD_RATIOS:
        worse = make_worse_pools(kept_aside, bad_ratio, TRAINED)
        if not worse:
            raise ValueError(f"no worse state is near a success of {bad_ratio:.0%}")
        fall = Fall(GOOD_RATIO, bad_ratio)
        table = fit_table(risk, make_edges(risk, healthy, worse), healthy, worse, fall)
        threshold = find_threshold(
            risk,
            table,
            healthy,
            worse,
            fall,
            GOOD_ATTEMPTS_PER_ALARM * len(BAD_RATIOS),
            np.random.default_rng([seed, round(100 * bad_ratio)]),
        )
        weights, shares = count_healthy(risk, table, healthy, worse, fall)
        charts.append(
            EvidenceSpec(
                bad_ratio=bad_ratio,
                edges=table.edges,
                placed_nat=table.placed_nat,
                failed_nat=table.failed_nat,
                threshold_nat=round(threshold, 4),
                mean_run_length=round(
                    min(compute_mean_run_length(weights, shares, threshold), 1e12), 1
                ),
            )
        )
    return Calibration(
        good_ratio=GOOD_RATIO,
        attempts=len(kept_aside),
        charts=tuple(charts),
        novelty_max=novelty_max,
        reliability=measure_heads(answers, kept_aside),
    )


def measure_heads(
    answers: Answers, samples: AttemptSamples
) -> dict[str, tuple[ReliabilityBin, ...]]:
    """Return the reliability of each head on recorded attempts."""
    targets, weights = compute_targets(samples)
    return {
        name: measure_reliability(
            answers.outputs[:, column], targets[:, column], weights[:, column]
        )
        for column, name in enumerate(HEADS)
    }
