"""From a fitted network and attempts kept aside to the calibration in its manifest."""

from typing import Final

import numpy as np

from policies.guardian_manifest import Calibration, EvidenceSpec, ReliabilityBin
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_fit import compute_targets, measure_reliability
from policies.training.guardian_net import HEADS
from safety.run_length import compute_mean_run_length
from sim2real.grasping.attempt_pools import make_good_pool, make_worse_pools
from sim2real.grasping.evidence import (
    Fall,
    count_good,
    find_threshold,
    fit_table,
    make_edges,
)
from sim2real.grasping.guardian_targets import (
    BAD_RATIOS,
    GOOD_ATTEMPTS_PER_ALARM,
    GOOD_RATIO,
    NOVELTY_COLUMN,
    TRAINED,
    Answers,
)

_USUAL_QUANTILE: Final = 0.995


def calibrate(answers: Answers, kept_aside: AttemptSamples, seed: int) -> Calibration:
    """Make the charts and their thresholds from attempts the network never saw.

    Args:
        answers: of the network to the attempts kept aside.
        kept_aside: those attempts, without the families that stay unseen.
        seed: of what is drawn.

    Raises:
        ValueError: there are too few attempts to say anything.
    """
    healthy = make_good_pool(kept_aside)
    novelty = answers.outputs[kept_aside.is_good, NOVELTY_COLUMN]
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
        weights, shares = count_good(risk, table, healthy, worse, fall)
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
