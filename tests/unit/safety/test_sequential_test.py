"""The tests on attempts: what they weigh, when they fire, how often by mistake."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.run_length import compute_mean_run_length, compute_threshold
from safety.sequential_test import (
    EVIDENCE_MAX_NAT,
    Chart,
    EvidenceTable,
    FallTest,
    ReturnState,
    ReturnTest,
)

OUTCOMES = EvidenceTable.of_outcomes(0.95, 0.80)
TABLE = EvidenceTable((0.1, 0.4), (-0.4, 0.1, 0.9), (0.5, 1.5, 2.0))
BACK = ReturnTest(OUTCOMES, false_return=0.01, false_refusal=0.05, attempts_min=20)

risks = st.floats(0.0, 1.0)
attempts = st.lists(st.tuples(risks, st.booleans()), max_size=60)


# --- what an attempt weighs ----------------------------------------------------------


def test_outcomes_weigh_the_logarithm_of_their_likelihood_ratio() -> None:
    assert OUTCOMES.weigh(0.3, is_placed=True) == pytest.approx(math.log(0.80 / 0.95))
    assert OUTCOMES.weigh(0.3, is_placed=False) == pytest.approx(math.log(0.20 / 0.05))


@pytest.mark.parametrize(
    ("risk", "placed", "failed"),
    [(0.0, -0.4, 0.5), (0.0999, -0.4, 0.5), (0.1, 0.1, 1.5), (0.4, 0.9, 2.0),
     (1.0, 0.9, 2.0)],
)  # fmt: skip
def test_a_risk_weighs_what_its_bin_says_and_an_edge_belongs_to_the_bin_above(
    risk: float, placed: float, failed: float
) -> None:
    assert TABLE.weigh(risk, is_placed=True) == placed
    assert TABLE.weigh(risk, is_placed=False) == failed


@pytest.mark.parametrize("risk", [math.nan, -1e-9, 1.0 + 1e-9, math.inf, -math.inf])
def test_what_is_no_risk_weighs_no_number(risk: float) -> None:
    assert math.isnan(TABLE.weigh(risk, is_placed=True))
    assert math.isnan(TABLE.weigh(risk, is_placed=False))


@given(risks, risks, st.booleans())
def test_more_risk_never_speaks_for_health(
    risk: float, other: float, is_placed: bool
) -> None:
    low, high = sorted((risk, other))

    assert TABLE.weigh(low, is_placed=is_placed) <= TABLE.weigh(
        high, is_placed=is_placed
    )
    assert TABLE.weigh(risk, is_placed=True) <= TABLE.weigh(risk, is_placed=False)


@pytest.mark.parametrize(
    ("edges", "placed", "failed", "words"),
    [
        ((0.5,), (0.0,), (0.0, 0.0), "1 edges need 2"),
        ((0.5,), (0.0, 0.0), (0.0,), "1 edges need 2"),
        ((0.5, 0.5), (0.0,) * 3, (0.0,) * 3, "rise"),
        ((0.0,), (0.0, 0.0), (0.0, 0.0), "rise"),
        ((1.0,), (0.0, 0.0), (0.0, 0.0), "rise"),
        ((math.nan,), (0.0, 0.0), (0.0, 0.0), "rise"),
        ((), (math.nan,), (0.0,), "placed_nat"),
        ((), (0.0,), (math.inf,), "failed_nat"),
        ((), (-EVIDENCE_MAX_NAT - 0.01,), (0.0,), "placed_nat"),
        ((0.5,), (0.1, 0.0), (0.2, 0.2), "placed_nat must not fall"),
        ((0.5,), (0.0, 0.0), (0.2, 0.1), "failed_nat must not fall"),
        ((), (0.1,), (0.0,), "must not weigh less"),
    ],
)
def test_a_table_made_of_noise_is_refused(
    edges: Any, placed: Any, failed: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        EvidenceTable(edges, placed, failed)


def test_equal_weights_and_the_largest_weight_are_still_a_table() -> None:
    table = EvidenceTable((0.5,), (-EVIDENCE_MAX_NAT, 0.0), (0.0, EVIDENCE_MAX_NAT))

    assert table.weigh(0.6, is_placed=False) == EVIDENCE_MAX_NAT


@pytest.mark.parametrize(
    ("good", "bad"),
    [(0.8, 0.8), (0.8, 0.9), (1.0, 0.5), (0.9, 0.0), (math.nan, 0.5), (0.9, math.nan)],
)
def test_a_fall_goes_from_one_probability_to_a_lower_one(
    good: float, bad: float
) -> None:
    with pytest.raises(ValueError, match="good_ratio"):
        EvidenceTable.of_outcomes(good, bad)


# --- the fall ------------------------------------------------------------------------


def test_success_never_fires_and_failures_in_a_row_do() -> None:
    test = FallTest((Chart(OUTCOMES, 4.0),))
    state = test.begin()
    for _ in range(1000):
        state = test.step(state, (0.1,), is_placed=True)
    assert state.sums_nat == (0.0,)

    # Three failures weigh 3 x 1.386 nat.
    fired = []
    for _ in range(3):
        state = test.step(state, (0.1,), is_placed=False)
        fired.append(state.has_fired)

    assert fired == [False, False, True]
    assert not state.is_distrusted


def test_a_sum_at_the_threshold_fires() -> None:
    test = FallTest((Chart(OUTCOMES, OUTCOMES.failed_nat[0]),))

    assert test.step(test.begin(), (0.0,), is_placed=False).has_fired


def test_what_has_fired_stays_fired() -> None:
    test = FallTest((Chart(OUTCOMES, 1.0),))
    state = test.step(test.begin(), (0.0,), is_placed=False)
    for _ in range(100):
        state = test.step(state, (0.0,), is_placed=True)

    assert state.has_fired
    assert state.sums_nat == (0.0,)


def test_one_chart_of_two_is_enough() -> None:
    deaf = Chart(OUTCOMES, 41.0)
    test = FallTest((deaf, Chart(OUTCOMES, 1.0)))

    state = test.step(test.begin(), (0.0,), is_placed=False)

    assert state.has_fired
    assert state.sums_nat[0] == state.sums_nat[1] == OUTCOMES.failed_nat[0]


@given(attempts, st.sampled_from([math.nan, -0.1, 1.1, math.inf]), attempts)
def test_a_number_that_is_no_risk_is_never_forgotten(
    before: list[tuple[float, bool]], odd: float, after: list[tuple[float, bool]]
) -> None:
    test = FallTest((Chart(TABLE, 15.0),))
    state = test.begin()
    for risk, is_placed in [*before, (odd, True), *after]:
        state = test.step(state, (risk,), is_placed=is_placed)

    assert state.is_distrusted
    assert state.has_fired


@given(attempts)
def test_the_sum_is_the_highest_of_all_sums_that_end_now(
    row: list[tuple[float, bool]],
) -> None:
    test = FallTest((Chart(TABLE, 15.0),))
    state = test.begin()
    for risk, is_placed in row:
        state = test.step(state, (risk,), is_placed=is_placed)

    weights = [TABLE.weigh(risk, is_placed=is_placed) for risk, is_placed in row]
    tails = [sum(weights[start:]) for start in range(len(weights) + 1)]
    assert state.sums_nat[0] == pytest.approx(max(tails), abs=1e-9)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf, 50.01])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold_nat"):
        Chart(OUTCOMES, threshold)


def test_each_chart_takes_the_risk_of_its_channel() -> None:
    test = FallTest((Chart(TABLE, 15.0, channel=1), Chart(TABLE, 15.0)))

    state = test.step(test.begin(), (0.2, 0.9), is_placed=True)

    assert state.sums_nat == (0.9, 0.1)


def test_a_risk_that_is_missing_is_distrusted() -> None:
    test = FallTest((Chart(TABLE, 15.0, channel=1),))

    state = test.step(test.begin(), (0.2,), is_placed=True)

    assert state.has_fired
    assert state.is_distrusted


def test_a_channel_below_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="channel"):
        Chart(TABLE, 1.0, channel=-1)


def test_a_test_without_charts_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one chart"):
        FallTest(())


# --- the way back --------------------------------------------------------------------


def pass_attempts(test: ReturnTest, outcomes: list[bool]) -> ReturnState:
    state = ReturnState()
    for is_placed in outcomes:
        state = test.step(state, 0.1, is_placed=is_placed)
    return state


def test_walds_bounds_follow_from_the_error_rates() -> None:
    assert BACK.good_nat == pytest.approx(math.log(0.01 / 0.95))
    assert BACK.bad_nat == pytest.approx(math.log(0.99 / 0.05))


def test_successes_lead_back_after_as_many_as_the_evidence_takes() -> None:
    # 4.554 nat at 0.1719 nat for each success.
    assert not pass_attempts(BACK, [True] * 26).has_passed
    passed = pass_attempts(BACK, [True] * 27)

    assert passed.has_passed
    assert not passed.has_failed
    assert passed.attempts == 27


def test_failures_lead_to_a_refusal() -> None:
    assert not pass_attempts(BACK, [False] * 2).has_failed
    assert pass_attempts(BACK, [False] * 3).has_failed


def test_too_few_attempts_do_not_lead_back_however_good_they_are() -> None:
    slow = ReturnTest(OUTCOMES, 0.01, 0.05, attempts_min=40)

    assert not pass_attempts(slow, [True] * 39).has_passed
    assert pass_attempts(slow, [True] * 40).has_passed


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True)])
def test_a_verdict_stands(first: bool, then: bool) -> None:
    decided = pass_attempts(BACK, [first] * 30)
    later = decided
    for _ in range(100):
        later = BACK.step(later, 0.1, is_placed=then)

    assert decided.has_passed is first
    assert decided.has_failed is not first
    assert later == decided


def test_a_number_that_is_no_risk_is_a_refusal() -> None:
    state = BACK.step(ReturnState(), math.nan, is_placed=True)

    assert state.has_failed
    assert not state.has_passed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"false_return": 0.0}, "false_return"),
        ({"false_return": 0.5}, "false_return"),
        ({"false_return": math.nan}, "false_return"),
        ({"false_refusal": 0.0}, "false_refusal"),
        ({"false_refusal": 0.7}, "false_refusal"),
        ({"attempts_min": 0}, "attempts_min"),
    ],
)
def test_error_rates_that_are_none_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    kept = {"false_return": 0.01, "false_refusal": 0.05, "attempts_min": 1}

    with pytest.raises(ValueError, match=words):
        ReturnTest(OUTCOMES, **(kept | changes))


def test_the_measured_errors_of_the_way_back_are_within_the_stated_ones() -> None:
    rng = np.random.default_rng(0)

    def count_passes(ratio: float, trials: int) -> int:
        passed = 0
        for _ in range(trials):
            state = ReturnState()
            while not (state.has_passed or state.has_failed):
                state = BACK.step(state, 0.1, is_placed=bool(rng.random() < ratio))
            passed += state.has_passed
        return passed

    # A bad policy passes in 1 of 100 trials at most, a good one in 95 at least; the
    # slack is three standard deviations of what is counted.
    assert count_passes(0.80, 1500) <= 15 + 3 * math.sqrt(15)
    assert count_passes(0.95, 300) >= 285 - 3 * math.sqrt(15)


# --- run lengths ---------------------------------------------------------------------


def test_a_chain_that_fires_at_the_first_failure_runs_as_long_as_that_takes() -> None:
    # Geometric: one failure in twenty.
    mean = compute_mean_run_length((-1.0, 1.0), (0.95, 0.05), 1.0)

    assert mean == pytest.approx(20.0)


def test_two_failures_in_a_row_take_what_the_textbook_says() -> None:
    # Waiting time for a run of two: (1 + p) / p^2.
    mean = compute_mean_run_length((-1.0, 1.0), (0.9, 0.1), 2.0)

    # A success takes the sum back by one failure, which from 0 or 1 is to 0.
    assert mean == pytest.approx(1.1 / 0.01)


def test_the_run_length_is_what_a_simulation_finds_or_shorter() -> None:
    weights = (*OUTCOMES.placed_nat, *OUTCOMES.failed_nat)
    threshold = 2.5
    stated = compute_mean_run_length(weights, (0.95, 0.05), threshold, 0.005)
    rng = np.random.default_rng(1)
    test = FallTest((Chart(OUTCOMES, threshold),))
    lengths = []
    for _ in range(300):
        state, length = test.begin(), 0
        while not state.has_fired:
            state = test.step(state, (0.1,), is_placed=bool(rng.random() < 0.95))
            length += 1
        lengths.append(length)

    error = np.std(lengths) / math.sqrt(len(lengths))
    assert stated <= np.mean(lengths) + 3 * error
    assert stated >= np.mean(lengths) - 4 * error


@pytest.mark.parametrize("wanted", [1.0, 50.0, 1000.0, 10_000.0])
def test_the_threshold_is_the_lowest_that_keeps_the_stated_rate(wanted: float) -> None:
    weights = (*OUTCOMES.placed_nat, *OUTCOMES.failed_nat)

    threshold = compute_threshold(weights, (0.95, 0.05), wanted)

    assert compute_mean_run_length(weights, (0.95, 0.05), threshold) >= wanted
    if wanted > 1.0:
        lower = threshold - 0.02
        assert compute_mean_run_length(weights, (0.95, 0.05), lower) < wanted


def test_evidence_that_never_rises_runs_for_ever() -> None:
    assert compute_mean_run_length((-1.0, -0.5), (0.5, 0.5), 1.0) == math.inf
    assert compute_threshold((-1.0,), (1.0,), 1e9) == pytest.approx(0.02)


@pytest.mark.parametrize("threshold", [30.0, 45.0])
def test_a_run_beyond_counting_is_endless_rather_than_negative(
    threshold: float,
) -> None:
    assert compute_mean_run_length((-1.0, 1.0), (0.999, 0.001), threshold) > 1e12


def test_good_attempts_that_drive_the_sum_up_have_no_threshold() -> None:
    with pytest.raises(ValueError, match="drives the sum up"):
        compute_threshold((-0.1, 1.0), (0.5, 0.5), 10_000.0)


@pytest.mark.parametrize(
    ("weights", "shares", "threshold", "lattice"),
    [
        ((), (), 1.0, 0.02),
        ((1.0,), (0.5, 0.5), 1.0, 0.02),
        ((math.nan,), (1.0,), 1.0, 0.02),
        ((1.0, -1.0), (0.7, 0.7), 1.0, 0.02),
        ((1.0, -1.0), (1.5, -0.5), 1.0, 0.02),
        ((1.0, -1.0), (math.nan, 0.5), 1.0, 0.02),
        ((1.0,), (1.0,), 0.0, 0.02),
        ((1.0,), (1.0,), math.nan, 0.02),
        ((1.0,), (1.0,), 50.1, 0.02),
        ((1.0,), (1.0,), 1.0, 0.0),
        ((1.0,), (1.0,), 1.0, math.nan),
    ],
)
def test_what_has_no_run_length_is_refused(
    weights: Any, shares: Any, threshold: float, lattice: float
) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        compute_mean_run_length(weights, shares, threshold, lattice)


@pytest.mark.parametrize("wanted", [0.5, math.nan])
def test_a_false_alarm_rate_above_one_is_refused(wanted: float) -> None:
    with pytest.raises(ValueError, match="mean_run_length"):
        compute_threshold((-1.0, 1.0), (0.9, 0.1), wanted)
