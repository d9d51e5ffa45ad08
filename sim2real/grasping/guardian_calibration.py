"""From a fitted network and attempts kept aside to the calibration in its manifest."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.guardian_manifest import Calibration, EvidenceSpec, ReliabilityBin
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_fit import compute_targets, measure_reliability
from policies.training.guardian_net import HEADS
from safety.run_length import compute_mean_run_length
from sim2real.grasping.attempt_pools import (
    AttemptPool,
    make_good_pool,
    make_worse_pools,
)
from sim2real.grasping.conditions import FAMILIES
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
    good = make_good_pool(kept_aside)
    novelty = answers.outputs[kept_aside.is_good, NOVELTY_COLUMN]
    novelty_max = round(float(np.quantile(novelty, _USUAL_QUANTILE)), 3)
    risks = answers.risks(novelty_max)
    # For each fall a chart on the risk of the next attempt, whatever is wrong; and for
    # the smaller fall one on each trouble that the network knows.
    wanted = [(0, bad_ratio, TRAINED) for bad_ratio in BAD_RATIOS]
    wanted += [(FAMILIES.index(one), BAD_RATIOS[0], (one,)) for one in TRAINED]
    charts = []
    for channel, bad_ratio, families in wanted:
        worse = make_worse_pools(kept_aside, bad_ratio, families)
        if worse:
            rng = np.random.default_rng([seed, channel, round(100 * bad_ratio)])
            run_length = GOOD_ATTEMPTS_PER_ALARM * len(wanted)
            fall = Fall(GOOD_RATIO, bad_ratio)
            charts.append(
                _make_chart(
                    channel, risks[:, channel], good, worse, fall, run_length, rng
                )
            )
    if not charts or charts[0].channel != 0:
        raise ValueError(f"no worse state is near a success of {BAD_RATIOS[0]:.0%}")
    return Calibration(
        good_ratio=GOOD_RATIO,
        attempts=len(kept_aside),
        charts=tuple(charts),
        novelty_max=novelty_max,
        reliability=measure_heads(answers, kept_aside),
    )


def _make_chart(
    channel: int,
    risk: NDArray[np.float64],
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    fall: Fall,
    run_length: float,
    rng: np.random.Generator,
) -> EvidenceSpec:
    table = fit_table(risk, make_edges(risk, good, worse), good, worse, fall)
    threshold = find_threshold(risk, table, good, worse, fall, run_length, rng)
    weights, shares = count_good(risk, table, good, worse, fall)
    mean = compute_mean_run_length(weights, shares, threshold)
    return EvidenceSpec(
        channel=channel,
        bad_ratio=fall.bad_ratio,
        edges=table.edges,
        placed_nat=table.placed_nat,
        failed_nat=table.failed_nat,
        threshold_nat=round(threshold, 4),
        mean_run_length=round(min(mean, 1e12), 1),
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
