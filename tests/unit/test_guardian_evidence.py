"""From recorded attempts to weights, thresholds and delays, on a made-up cell."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cell.contracts.attempt import AttemptJudgement
from policies.guardian_manifest import EvidenceSpec
from policies.runtime.guardian_tensors import FEATURES
from safety.guardian import compute_risks
from safety.run_length import compute_mean_run_length, compute_threshold
from safety.sequential_test import Chart, EvidenceTable, FallTest
from sim2real.grasping.attempt_pools import (
    AttemptPool,
    find_window,
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
from sim2real.grasping.guardian_calibration import lower_together, plan_charts
from sim2real.grasping.guardian_results import (
    FallResult,
    GuardianEvaluation,
    find_missed,
)
from sim2real.grasping.guardian_streams import (
    LIMIT,
    StreamPlan,
    count_false_alarms,
    make_detector,
    measure_delays,
)
from sim2real.grasping.guardian_targets import BAD_RATIOS, TRAINED, Answers
from tests.fakes.attempts import make_attempts

FALL = Fall(0.95, 0.80)
SAMPLES = make_attempts(400)
SLIP_M = SAMPLES.features[:, FEATURES.index("lift_slip_m")].astype(np.float64)
TELLING = np.clip(SLIP_M / 0.004, 0.0, 1.0)
BLIND = np.random.default_rng(99).random(len(SAMPLES))
HEALTHY = make_good_pool(SAMPLES)
WORSE = make_worse_pools(SAMPLES, 0.80, TRAINED)


# --- pools ---------------------------------------------------------------------------


def test_a_window_of_severities_is_the_one_whose_success_is_nearest() -> None:
    index = np.flatnonzero(SAMPLES.family == 1)
    ratios = {}
    for wanted in (0.8, 0.5):
        window = find_window(SAMPLES, index, wanted)
        assert window is not None
        ratios[wanted] = SAMPLES.is_placed[window].mean()
        assert set(window) <= set(index)

    assert ratios[0.8] == pytest.approx(0.8, abs=0.04)
    assert ratios[0.5] == pytest.approx(0.5, abs=0.08)


def test_too_few_attempts_have_no_window() -> None:
    few = np.flatnonzero(SAMPLES.family == 1)[:10]

    assert find_window(SAMPLES, few, 0.8) is None


def test_only_families_that_come_near_a_ratio_give_a_pool() -> None:
    assert {pool.name for pool in WORSE} == {family.value for family in TRAINED}
    assert make_worse_pools(SAMPLES, 0.05, TRAINED) == []


def test_a_pool_without_failures_is_none() -> None:
    good = SAMPLES.select(SAMPLES.is_placed)

    assert make_worse_pools(good, 1.0, [Family.SLIPPERY]) == []
    with pytest.raises(ValueError, match="too few attempts of a good cell"):
        make_good_pool(good)


# --- tables --------------------------------------------------------------------------


def test_a_risk_that_tells_nothing_leaves_the_table_of_outcomes() -> None:
    table = fit_table(BLIND, make_edges(BLIND, HEALTHY, WORSE), HEALTHY, WORSE, FALL)

    assert np.median(table.placed_nat) == pytest.approx(math.log(0.80 / 0.95), abs=0.1)
    assert np.allclose(table.failed_nat, math.log(0.20 / 0.05), atol=0.35)


def test_a_telling_risk_makes_weights_that_rise_with_it() -> None:
    edges = make_edges(TELLING, HEALTHY, WORSE)
    table = fit_table(TELLING, edges, HEALTHY, WORSE, FALL)

    # Nine between ten bins of successes, four between five bins of failures.
    assert 9 <= len(table.edges) <= 13
    assert table.placed_nat[0] < math.log(0.80 / 0.95)
    assert table.placed_nat[-1] > 1.0
    # Slip shows in lost grasps as well.
    assert table.failed_nat[-1] > math.log(0.20 / 0.05) + 0.3


def test_a_failure_that_looks_harmless_still_weighs_half_of_its_outcome() -> None:
    # Failures of worse cells that look healthy, and healthy ones that look bad.
    risk = np.full(len(SAMPLES), 0.5)
    risk[np.concatenate([pool.failed for pool in WORSE])] = 0.1
    risk[HEALTHY.failed] = 0.9
    risk[WORSE[0].failed[:3]] = 0.95
    table = fit_table(risk, np.array([0.3, 0.7, 0.93]), HEALTHY, WORSE, FALL)
    outcome_nat = math.log(0.20 / 0.05)

    assert min(table.failed_nat) >= 0.5 * outcome_nat - 1e-4
    assert all(p <= f for p, f in zip(table.placed_nat, table.failed_nat, strict=True))


def test_what_is_seen_in_failures_is_counted_among_failures_alone() -> None:
    # Among successes this risk tells nothing, among failures nearly all.
    risk = np.array(BLIND)
    is_lost = ~SAMPLES.is_placed
    risk[is_lost] = np.where(SAMPLES.is_mild[is_lost], 0.2, 0.8)
    table = fit_table(risk, np.array([0.5]), HEALTHY, WORSE, FALL)

    assert table.failed_nat[1] > table.failed_nat[0] + 1.0
    assert table.placed_nat[1] == pytest.approx(table.placed_nat[0], abs=0.15)


def test_the_more_a_risk_tells_the_more_an_attempt_weighs_on_average() -> None:
    def compute_drift(risk: np.ndarray) -> float:
        table = fit_table(risk, make_edges(risk, HEALTHY, WORSE), HEALTHY, WORSE, FALL)
        rows = [
            0.8 * np.mean([table.weigh(risk[i], is_placed=True) for i in pool.placed])
            + 0.2
            * np.mean([table.weigh(risk[i], is_placed=False) for i in pool.failed])
            for pool in WORSE
        ]
        return float(np.mean(rows))

    # Outcomes alone carry 0.14 nat.
    assert compute_drift(BLIND) == pytest.approx(0.14, abs=0.05)
    assert compute_drift(TELLING) > 0.5


def test_what_healthy_attempts_weigh_adds_up_and_drives_the_sum_down() -> None:
    edges = make_edges(TELLING, HEALTHY, WORSE)
    table = fit_table(TELLING, edges, HEALTHY, WORSE, FALL)
    weights, shares = count_good(TELLING, table, HEALTHY, WORSE, FALL)

    assert sum(shares) == pytest.approx(1.0)
    assert np.dot(weights, shares) < 0.0
    assert sum(shares[: len(table.placed_nat)]) == pytest.approx(0.95)


def test_the_threshold_keeps_the_run_length_with_room_for_what_was_not_seen() -> None:
    edges = make_edges(TELLING, HEALTHY, WORSE)
    table = fit_table(TELLING, edges, HEALTHY, WORSE, FALL)
    threshold = find_threshold(
        TELLING, table, HEALTHY, WORSE, FALL, 2000.0, np.random.default_rng(0)
    )
    weights, shares = count_good(TELLING, table, HEALTHY, WORSE, FALL)

    assert compute_mean_run_length(weights, shares, threshold) >= 2000.0


# --- streams -------------------------------------------------------------------------


def make_outcome_test(threshold: float) -> FallTest:
    return FallTest((Chart(EvidenceTable.of_outcomes(0.95, 0.80), threshold),))


def test_delays_and_false_alarms_are_those_of_the_test_run_by_hand() -> None:
    test = make_outcome_test(3.0)
    detector = make_detector("outcomes", test, BLIND[:, None], SAMPLES.is_placed)
    plan = StreamPlan(HEALTHY, WORSE, 0.95, 0.80, 2000)
    delays, state = measure_delays(plan, [detector], np.random.default_rng(1))
    alarms = count_false_alarms(
        HEALTHY, 0.95, [detector], 500, 400, np.random.default_rng(2)
    )[0]

    rng = np.random.default_rng(3)
    by_hand = []
    for _ in range(400):
        now = test.begin()
        for _ in range(60):
            now = test.step(now, (0.0,), is_placed=bool(rng.random() < 0.95))
            now = test.begin() if now.has_fired else now
        count = 0
        while not now.has_fired:
            now = test.step(now, (0.0,), is_placed=bool(rng.random() < 0.80))
            count += 1
        by_hand.append(count)
    stated = compute_mean_run_length(
        (detector.weights.min(), detector.weights.max()), (0.95, 0.05), 3.0, 0.005
    )

    error = float(np.std(by_hand)) / math.sqrt(len(by_hand))
    assert delays[0].mean() == pytest.approx(np.mean(by_hand), abs=4 * error)
    assert alarms == pytest.approx(500 * 400 / stated, rel=0.15)
    assert np.bincount(state).min() == np.bincount(state).max() or len(WORSE) > 1


def test_a_telling_test_finds_the_fall_sooner_on_the_same_runs() -> None:
    edges = make_edges(TELLING, HEALTHY, WORSE)
    table = fit_table(TELLING, edges, HEALTHY, WORSE, FALL)
    pair = [
        make_detector(
            "telling",
            FallTest((Chart(table, 6.0),)),
            TELLING[:, None],
            SAMPLES.is_placed,
        ),
        make_detector(
            "outcomes", make_outcome_test(6.0), TELLING[:, None], SAMPLES.is_placed
        ),
    ]
    delays, _ = measure_delays(
        StreamPlan(HEALTHY, WORSE, 0.95, 0.80, 500), pair, np.random.default_rng(4)
    )

    assert np.median(delays[0]) < 0.5 * np.median(delays[1])


def test_a_fall_that_is_never_found_is_counted_as_given_up() -> None:
    deaf = make_detector(
        "deaf", make_outcome_test(41.0), BLIND[:, None], SAMPLES.is_placed
    )
    lucky = AttemptPool("lucky", 1.0, HEALTHY.placed, HEALTHY.failed)
    plan = StreamPlan(HEALTHY, [lucky], 0.95, 0.999, 3)

    delays, _ = measure_delays(plan, [deaf], np.random.default_rng(5))

    assert delays.tolist() == [[LIMIT + 1] * 3]


def test_the_evaluation_weighs_the_risk_that_the_cell_weighs() -> None:
    outputs = np.array(
        [[0.9, 0.0, 0.7, 1.0, 0.2, 0.4], [0.9, 0.0, 0.7, 9.1, 0.2, 0.4]], np.float32
    )
    said = []
    for row in outputs:
        success, silent, following, novelty, *troubles = (float(v) for v in row)
        judgement = AttemptJudgement(
            1, 1, success, silent, following, tuple(troubles), novelty
        )
        said.append(list(compute_risks(judgement, 9.0)))

    assert Answers(outputs).risks(9.0).tolist() == said


# --- charts that share the false alarms -----------------------------------------------


def make_spec(channel: int, threshold_nat: float) -> EvidenceSpec:
    table = EvidenceTable.of_outcomes(0.95, 0.80)
    return EvidenceSpec(
        channel=channel,
        bad_ratio=0.80,
        edges=table.edges,
        placed_nat=table.placed_nat,
        failed_nat=table.failed_nat,
        threshold_nat=threshold_nat,
        mean_run_length=1.0,
    )


def test_the_first_chart_is_one_of_outcomes_and_every_trouble_has_its_own() -> None:
    plans = plan_charts()

    assert (plans[0].channel, plans[0].families) == (0, ())
    # With a seventh of the false alarms it fires a few attempts later only.
    assert plans[0].share / sum(plan.share for plan in plans) > 0.14
    heard = {(plan.families, plan.bad_ratio) for plan in plans}
    assert {((one,), ratio) for one in TRAINED for ratio in BAD_RATIOS} <= heard
    # As many as a manifest may hold.
    assert len(plans) <= 16


def test_charts_that_fire_together_are_lowered_until_nine_tenths_are_used() -> None:
    # Equal charts fire at the same time: each may stand where one alone would.
    alone = compute_threshold(
        (math.log(0.80 / 0.95), math.log(0.20 / 0.05)), (0.95, 0.05), 10_000.0 / 0.9
    )
    shared = alone + math.log(2.0)
    risks = np.zeros((len(SAMPLES), 2))
    specs = [make_spec(channel, shared) for channel in range(2)]

    lowered = lower_together(specs, risks, SAMPLES, HEALTHY, 0, draws=5)

    thresholds = {spec.threshold_nat for spec in lowered}
    assert len(thresholds) == 1
    # The lattice of `alone` rounds towards early alarms.
    assert thresholds.pop() == pytest.approx(alone, abs=0.45)
    detector = make_detector(
        "two",
        FallTest(
            tuple(
                Chart(
                    EvidenceTable.of_outcomes(0.95, 0.80),
                    spec.threshold_nat,
                    spec.channel,
                )
                for spec in lowered
            )
        ),
        risks,
        SAMPLES.is_placed,
    )
    alarms = count_false_alarms(
        HEALTHY, 0.95, [detector], 2000, 1000, np.random.default_rng(8)
    )[0]
    assert 90 < alarms < 216
    assert lowered[0].mean_run_length == pytest.approx(10_000 / 0.9, rel=0.35)


def test_charts_that_fire_too_often_are_raised() -> None:
    risks = np.zeros((len(SAMPLES), 1))

    (raised,) = lower_together([make_spec(0, 4.0)], risks, SAMPLES, HEALTHY, 0, draws=5)

    assert raised.threshold_nat > 6.0
    assert raised.mean_run_length == pytest.approx(10_000 / 0.9, rel=0.35)


# --- results -------------------------------------------------------------------------


def make_fall(
    bad_ratio: float, median: float, late: float, sooner: float
) -> FallResult:
    return FallResult(
        bad_ratio=bad_ratio,
        runs=10_000,
        median=median,
        median_interval=(0, 0),
        late=late,
        late_interval=(0, 0),
        outcome_design=0.8,
        outcome_median=65,
        outcome_late=150,
        sooner=sooner,
        sooner_interval=(0, 0),
        states=(),
    )


GOOD = GuardianEvaluation(
    guardian="guardian-1",
    attempts=100,
    good_attempts=1_000_000,
    false_alarms=100,
    false_alarm_interval=(0.8, 1.2),
    outcome_false_alarms=100,
    falls=(make_fall(0.80, 45, 110, 0.25), make_fall(0.50, 15, 300, 0.25)),
    missed=(),
)


def test_figures_at_their_bars_are_good_enough() -> None:
    assert find_missed(GOOD) == ()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (replace(GOOD, false_alarms=101), "false alarms"),
        (replace(GOOD, falls=(make_fall(0.80, 46, 110, 0.25),)), "median 46, bar 45"),
        (replace(GOOD, falls=(make_fall(0.80, 45, 111, 0.25),)), "95 % after 111"),
        (replace(GOOD, falls=(make_fall(0.50, 16, 1, 0.25),)), "median 16, bar 15"),
        (replace(GOOD, falls=(make_fall(0.50, 15, 1, 0.24),)), "24% sooner"),
        (replace(GOOD, falls=(make_fall(0.50, 15, 1, math.nan),)), "sooner"),
    ],
)
def test_what_misses_its_bar_is_named(result: GuardianEvaluation, words: str) -> None:
    (line,) = find_missed(result)

    assert words in line


def test_every_family_has_a_number_that_lasts() -> None:
    assert FAMILIES[0] is Family.HEALTHY
