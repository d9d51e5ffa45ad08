"""From a fitted network and attempts kept aside to the calibration in its manifest.

The charts share the false alarms that are permitted. Each is first set to its own
share, as if their alarms never came together; since they do, all thresholds are then
lowered by the same amount, until the charts together use up nine tenths of what is
permitted, at the rate of unlucky bins. The last tenth is for bins unlike any of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.guardian_manifest import Calibration, EvidenceSpec, ReliabilityBin
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_fit import compute_targets, measure_reliability
from policies.training.guardian_net import HEADS
from safety.run_length import (
    LATTICE_NAT,
    compute_mean_run_length,
    compute_threshold,
)
from safety.sequential_test import Chart, EvidenceTable, FallTest
from sim2real.grasping.attempt_pools import (
    AttemptPool,
    make_good_pool,
    make_worse_pools,
)
from sim2real.grasping.conditions import FAMILIES, Family
from sim2real.grasping.evidence import (
    Fall,
    count_good,
    find_threshold,
    fit_table,
    make_edges,
)
from sim2real.grasping.guardian_streams import count_false_alarms, make_detector
from sim2real.grasping.guardian_targets import (
    BAD_RATIOS,
    GOOD_ATTEMPTS_PER_ALARM,
    GOOD_RATIO,
    NOVELTY_COLUMN,
    TRAINED,
    Answers,
)

_USUAL_QUANTILE: Final = 0.995
_RELIEF_MAX_NAT: Final = 4.0
_RELIEF_STEP_NAT: Final = 0.03
_BOOTSTRAPS: Final = 20
_BOOTSTRAP_QUANTILE: Final = 0.9
_USED_RATIO: Final = 0.9
"""Of a rate that is a high one already, see `lower_together`. On bins that nothing was
fitted to, the measured rate was within a fifth of what is used up here."""

_RUNS: Final = 1000
_ATTEMPTS: Final = 1000
"""In so many good attempts a hundred false alarms are permitted."""


@dataclass(frozen=True)
class ChartPlan:
    """One chart that is wanted.

    Attributes:
        channel: the risk that it looks at.
        bad_ratio: the success that it looks for.
        share: of the false alarms, beside those of the others.
        families: what it listens to; none for outcomes alone.
    """

    channel: int
    bad_ratio: float
    share: float
    families: tuple[Family, ...] = ()


def plan_charts() -> tuple[ChartPlan, ...]:
    """Return the charts, the one of outcomes alone first.

    That one is the insurance: a trouble that no feature shows is found a few attempts
    later than by it alone, with a seventh of the false alarms. The risk of the next
    attempt, whatever is wrong, has one for the worse fall, with most of them: there
    each attempt counts, and whoever has to tell troubles apart first pays for it. That
    chart finds the smaller fall as well. Each trouble has one for both.
    """
    small, large = BAD_RATIOS
    troubles = [(FAMILIES.index(one), (one,)) for one in TRAINED]
    return (
        ChartPlan(0, small, 3.0),
        ChartPlan(0, large, 16.0, TRAINED),
        *(
            ChartPlan(channel, small, 1.0 / len(TRAINED), one)
            for channel, one in troubles
        ),
        *(
            ChartPlan(channel, large, 1.0 / len(TRAINED), one)
            for channel, one in troubles
        ),
    )


def calibrate(
    answers: Answers,
    kept_aside: AttemptSamples,
    seed: int,
    draws: int = _BOOTSTRAPS,
) -> Calibration:
    """Make the charts and their thresholds from answers to attempts never seen.

    Args:
        answers: each by a network that was fitted to other scenes.
        kept_aside: the attempts, without the families that stay unseen.
        seed: of what is drawn.
        draws: how often the bins are drawn anew for the false alarms of all charts.

    Raises:
        ValueError: there are too few attempts to say anything.
    """
    good = make_good_pool(kept_aside)
    novelty = answers.outputs[kept_aside.is_good, NOVELTY_COLUMN]
    novelty_max = round(float(np.quantile(novelty, _USUAL_QUANTILE)), 3)
    risks = answers.risks(novelty_max)
    wanted = plan_charts()
    total = sum(plan.share for plan in wanted)
    specs = []
    for plan in wanted:
        run_length = GOOD_ATTEMPTS_PER_ALARM * total / plan.share
        if not plan.families:
            specs.append(_make_outcome_spec(plan, run_length))
            continue
        worse = make_worse_pools(kept_aside, plan.bad_ratio, plan.families)
        if worse:
            words = [seed, plan.channel, round(100 * plan.bad_ratio)]
            rng = np.random.default_rng(words)
            risk = risks[:, plan.channel]
            specs.append(_make_spec(plan, risk, good, worse, run_length, rng))
    if len(specs) == 1:
        raise ValueError(f"no worse state is near a success of {BAD_RATIOS[0]:.0%}")
    return Calibration(
        good_ratio=GOOD_RATIO,
        attempts=len(kept_aside),
        charts=lower_together(specs, risks, kept_aside, good, seed, draws),
        novelty_max=novelty_max,
        reliability=measure_heads(answers, kept_aside),
    )


def lower_together(
    specs: Sequence[EvidenceSpec],
    risks: NDArray[np.float64],
    kept_aside: AttemptSamples,
    good: AttemptPool,
    seed: int,
    draws: int = _BOOTSTRAPS,
) -> tuple[EvidenceSpec, ...]:
    """Return the charts at thresholds at which they use up their part together.

    The rate is that of all charts together, on good attempts of bins that are drawn
    again and again from the recorded ones, whole, for attempts on one bin are alike; of
    these rates it is a high one that is kept.

    Args:
        specs: charts that keep their own shares.
        risks: of each recorded attempt, a column for each channel.
        kept_aside: those attempts.
        good: the attempts of a good cell among them.
        seed: of what is drawn.
        draws: how often the bins are drawn anew.
    """
    rng = np.random.default_rng([seed, 1])
    pools = [_draw_bins(good, kept_aside, rng) for _ in range(draws)]
    tests = [Chart(_table_of(spec), spec.threshold_nat, spec.channel) for spec in specs]
    weighed = make_detector(
        "charts", FallTest(tuple(tests)), risks, kept_aside.is_placed
    )

    def measure(relief_nat: float) -> float:
        thresholds = np.maximum(weighed.thresholds - relief_nat, LATTICE_NAT)
        rates = [
            count_false_alarms(
                pool,
                GOOD_RATIO,
                [replace(weighed, thresholds=thresholds)],
                _RUNS,
                _ATTEMPTS,
                np.random.default_rng([seed, 2, number]),
            )[0]
            / (_RUNS * _ATTEMPTS)
            for number, pool in enumerate(pools)
        ]
        return float(np.quantile(rates, _BOOTSTRAP_QUANTILE)) * GOOD_ATTEMPTS_PER_ALARM

    steps = round(_RELIEF_MAX_NAT / _RELIEF_STEP_NAT)
    # Charts whose alarms hardly come together are raised instead.
    low, high = (0, steps) if measure(0.0) <= _USED_RATIO else (-steps, 0)
    while high - low > 1:
        middle = (low + high) // 2
        if measure(middle * _RELIEF_STEP_NAT) <= _USED_RATIO:
            low = middle
        else:
            high = middle
    return tuple(
        _lower(spec, low * _RELIEF_STEP_NAT, risks[:, spec.channel], good)
        for spec in specs
    )


def _draw_bins(
    good: AttemptPool, samples: AttemptSamples, rng: np.random.Generator
) -> AttemptPool:
    """Return the successes of as many bins, drawn with repetition; failures one by one.

    Failures are few, and all weigh the same.
    """
    scene = samples.scene[good.placed]
    bins = np.unique(scene)
    drawn = rng.choice(bins, len(bins))
    placed = np.concatenate([good.placed[scene == number] for number in drawn])
    return replace(good.resample(rng), placed=placed)


def _lower(
    spec: EvidenceSpec,
    relief_nat: float,
    risk: NDArray[np.float64],
    good: AttemptPool,
) -> EvidenceSpec:
    threshold_nat = max(spec.threshold_nat - relief_nat, LATTICE_NAT)
    table = _table_of(spec)
    shares = [
        ratio * _count_shares(table, risk[chosen])
        for ratio, chosen in (
            (GOOD_RATIO, good.placed),
            (1.0 - GOOD_RATIO, good.failed),
        )
    ]
    mean = compute_mean_run_length(
        (*table.placed_nat, *table.failed_nat),
        [float(share) for share in np.concatenate(shares)],
        threshold_nat,
    )
    return spec.model_copy(
        update={
            "threshold_nat": round(threshold_nat, 4),
            "mean_run_length": round(min(mean, 1e12), 1),
        }
    )


def _count_shares(
    table: EvidenceTable, risk: NDArray[np.float64]
) -> NDArray[np.float64]:
    bins = np.searchsorted(table.edges, risk, side="right")
    return np.asarray(np.bincount(bins, minlength=len(table.placed_nat)) / len(bins))


def _table_of(spec: EvidenceSpec) -> EvidenceTable:
    return EvidenceTable(spec.edges, spec.placed_nat, spec.failed_nat)


def _make_outcome_spec(plan: ChartPlan, run_length: float) -> EvidenceSpec:
    table = EvidenceTable.of_outcomes(GOOD_RATIO, plan.bad_ratio)
    weights = (*table.placed_nat, *table.failed_nat)
    threshold = compute_threshold(weights, (GOOD_RATIO, 1.0 - GOOD_RATIO), run_length)
    return EvidenceSpec(
        channel=plan.channel,
        bad_ratio=plan.bad_ratio,
        edges=table.edges,
        placed_nat=table.placed_nat,
        failed_nat=table.failed_nat,
        threshold_nat=round(threshold, 4),
        mean_run_length=run_length,
    )


def _make_spec(
    plan: ChartPlan,
    risk: NDArray[np.float64],
    good: AttemptPool,
    worse: Sequence[AttemptPool],
    run_length: float,
    rng: np.random.Generator,
) -> EvidenceSpec:
    fall = Fall(GOOD_RATIO, plan.bad_ratio)
    table = fit_table(risk, make_edges(risk, good, worse), good, worse, fall)
    threshold = find_threshold(risk, table, good, worse, fall, run_length, rng)
    weights, shares = count_good(risk, table, good, worse, fall)
    mean = compute_mean_run_length(weights, shares, threshold)
    return EvidenceSpec(
        channel=plan.channel,
        bad_ratio=plan.bad_ratio,
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
