"""The tests on attempts at every bound, and run lengths that are known by heart."""

import math
from typing import Any

import numpy as np
import pytest

from safety import run_length
from safety.run_length import compute_mean_run_length, compute_threshold
from safety.sequential_test import (
    EVIDENCE_MAX_NAT,
    FAILURES_MAX,
    THRESHOLD_MAX_NAT,
    Chart,
    EvidenceTable,
    FallState,
    FallTest,
    ReturnState,
    ReturnTest,
)

OUTCOMES = EvidenceTable.of_outcomes(0.95, 0.80)


def test_the_numbers_of_the_tests_are_those_that_were_signed_off() -> None:
    assert (EVIDENCE_MAX_NAT, THRESHOLD_MAX_NAT) == (6.0, 50.0)
    assert FAILURES_MAX == 30
    assert run_length.LATTICE_NAT == 0.02
    assert run_length._PROBABILITY_SLACK == 1e-9
    assert run_length._SUM_SLACK == 2.0**-20


# --- charts that would never fire ----------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "threshold"),
    [
        ((-6.0, -6.0), 50.0),
        ((-6.0, 6.0), 1.0),
        ((0.0, 6.0), 1e-3),
        ((0.125, 6.0), 3.751),
        ((1.0, 1.0), 30.001),
    ],
)
def test_a_chart_that_failures_alone_do_not_fire_is_refused(
    failed: tuple[float, float], threshold: float
) -> None:
    table = EvidenceTable((0.5,), (-6.0, -6.0), failed)

    with pytest.raises(ValueError, match="is not reached by 30 failures in a row"):
        Chart(table, threshold)


@pytest.mark.parametrize(("failed", "threshold"), [(0.125, 3.75), (1.0, 30.0)])
def test_the_last_failure_may_be_the_one_that_fires(
    failed: float, threshold: float
) -> None:
    table = EvidenceTable((0.5,), (-6.0, -6.0), (failed, failed))
    test = FallTest((Chart(table, threshold),))

    state = test.begin()
    fired = []
    for _ in range(FAILURES_MAX):
        state = test.step(state, (0.1,), is_placed=False)
        fired.append(state.has_fired)

    assert fired == [False] * (FAILURES_MAX - 1) + [True]


# --- what an attempt weighs ----------------------------------------------------------


def test_a_table_may_say_the_same_of_everything() -> None:
    table = EvidenceTable((0.05, 0.95), (0.5,) * 3, (0.5,) * 3)

    assert table.weigh(0.97, is_placed=True) == table.weigh(0.0, is_placed=False) == 0.5


@pytest.mark.parametrize(
    ("edges", "placed", "failed", "words"),
    [
        # One value of many is enough to refuse a table.
        ((0.5,), (0.0, 0.0), (0.0, 6.5), "failed_nat must lie"),
        ((0.5,), (-6.5, 0.0), (0.0, 0.0), "placed_nat must lie"),
        ((0.3, 0.6), (0.1, 0.0, 0.2), (1.0,) * 3, "placed_nat must not fall"),
        ((0.3, 0.6), (0.0,) * 3, (0.1, 0.3, 0.2), "failed_nat must not fall"),
        ((0.5,), (0.1, 0.1), (0.0, 0.2), "must not weigh less"),
        ((0.5,), (0.0, 0.2), (0.1, 0.1), "must not weigh less"),
    ],
)
def test_one_value_that_is_noise_is_enough_to_refuse_a_table(
    edges: Any, placed: Any, failed: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        EvidenceTable(edges, placed, failed)


def test_a_policy_may_be_as_bad_as_one_likes() -> None:
    table = EvidenceTable.of_outcomes(0.99, 0.01)

    assert table.placed_nat[0] == pytest.approx(math.log(0.01 / 0.99))
    assert table.failed_nat[0] == pytest.approx(math.log(0.99 / 0.01))


# --- the fall ------------------------------------------------------------------------


def test_a_threshold_may_be_as_low_as_one_likes() -> None:
    test = FallTest((Chart(OUTCOMES, 1e-3),))

    assert test.step(test.begin(), (0.0,), is_placed=False).has_fired


@pytest.mark.parametrize(
    ("sums_nat", "wanted"),
    [
        ((0.0, 3.0), (0.0, 3.0)),
        ((0.05, 0.0), (0.05, 0.0)),
        ((math.nextafter(2.0, 0.0), math.nextafter(4.0, 0.0)), None),
        ((2.0, 3.0), (0.0, 0.0)),
        ((1.0, 4.0), (0.0, 0.0)),
        ((-1e-9, 3.0), (0.0, 0.0)),
        ((1.0, math.nan), (0.0, 0.0)),
        ((1.0,), (0.0, 0.0)),
        ((1.0, 1.0, 1.0), (0.0, 0.0)),
        ((), (0.0, 0.0)),
    ],
)
def test_sums_of_an_earlier_life_count_where_all_of_them_fit(
    sums_nat: Any, wanted: Any
) -> None:
    test = FallTest((Chart(OUTCOMES, 2.0), Chart(OUTCOMES, 4.0)))

    state = test.resume(list(sums_nat))

    assert state == FallState(sums_nat if wanted is None else wanted)


def test_one_chart_that_hears_no_number_is_enough_for_distrust() -> None:
    test = FallTest((Chart(OUTCOMES, 30.0), Chart(OUTCOMES, 30.0, channel=1)))

    state = test.step(test.begin(), (0.1, math.nan), is_placed=True)

    assert state.is_distrusted
    assert state.has_fired
    assert state.sums_nat[0] == 0.0


def test_distrust_stays_whatever_the_sums_are() -> None:
    test = FallTest((Chart(OUTCOMES, 30.0),))
    before = FallState((0.0,), has_fired=True, is_distrusted=True)

    assert test.step(before, (0.1,), is_placed=True) == before


# --- the way back --------------------------------------------------------------------


def test_sums_just_at_the_bounds_decide() -> None:
    rates: dict[str, Any] = {"false_return": 0.01, "false_refusal": 0.05}
    plain = ReturnTest(OUTCOMES, **rates, attempts_min=1)
    table = EvidenceTable((), (plain.good_nat,), (plain.bad_nat,))
    test = ReturnTest(table, **rates, attempts_min=1)

    good = test.step(ReturnState(), 0.1, is_placed=True)
    bad = test.step(ReturnState(), 0.1, is_placed=False)

    assert good == ReturnState(plain.good_nat, 1, has_passed=True)
    assert bad == ReturnState(plain.bad_nat, 1, has_failed=True)


def test_error_rates_may_be_almost_a_half() -> None:
    test = ReturnTest(OUTCOMES, 0.499, 0.499, attempts_min=1)

    assert test.step(ReturnState(), 0.1, is_placed=True).has_passed
    assert test.step(ReturnState(), 0.1, is_placed=False).has_failed


@pytest.mark.parametrize("name", ["false_return", "false_refusal"])
@pytest.mark.parametrize("rate", [0.5, 0.51, -0.1])
def test_and_no_more(name: str, rate: float) -> None:
    rates: dict[str, Any] = {"false_return": 0.01, "false_refusal": 0.05, name: rate}

    with pytest.raises(ValueError, match=f"{name} must lie"):
        ReturnTest(OUTCOMES, **rates, attempts_min=1)


# --- run lengths ---------------------------------------------------------------------

# A fair walk that stays at 0 instead of falling reaches n after n (n + 1) steps.
FAIR = (0.5, 0.5)


@pytest.mark.parametrize(
    ("threshold", "lattice", "wanted"),
    [
        (0.1, 0.1, 2.0),
        (0.2, 0.1, 6.0),
        # In doubles 0.3 / 0.1 is less than 3.
        (0.3, 0.1, 12.0),
        (0.7, 0.1, 56.0),
        # What lies between two places of the lattice fires at the lower one.
        (0.39, 0.1, 12.0),
        # Less than one place is one place.
        (0.01, 0.1, 2.0),
    ],
)
def test_a_fair_walk_takes_as_long_as_it_should(
    threshold: float, lattice: float, wanted: float
) -> None:
    mean = compute_mean_run_length((-0.1, 0.1), FAIR, threshold, lattice)

    assert mean == pytest.approx(wanted)


def test_evidence_between_two_places_of_the_lattice_counts_as_the_higher() -> None:
    mean = compute_mean_run_length((-0.19, 0.01), FAIR, 0.3, 0.1)

    assert mean == pytest.approx(12.0)


def test_what_fires_at_once_takes_one_attempt() -> None:
    assert compute_mean_run_length((1.0,), (1.0,), 0.5) == 1.0
    assert compute_threshold((1.0,), (1.0,), 1.0) == pytest.approx(0.02)


def test_what_never_comes_changes_nothing() -> None:
    mean = compute_mean_run_length((-1.0, 1.0, 5.0), (0.95, 0.05, 0.0), 1.0)

    assert mean == pytest.approx(20.0)


def test_the_coarsest_lattice_and_the_highest_threshold_are_still_some() -> None:
    assert compute_mean_run_length((1.0,), (1.0,), 50.0, 1.0) == pytest.approx(50.0)
    assert compute_threshold((1.0,), (1.0,), 50.0, 1.0) == pytest.approx(50.0)
    assert compute_threshold((1.0,), (1.0,), 49.5, 1.0) == pytest.approx(50.0)
    assert compute_threshold((1.0,), (1.0,), 49.0, 1.0) == pytest.approx(49.0)


@pytest.mark.parametrize("wanted", [50.5, 51.0, 52.0, 60.0, 101.0, math.inf])
def test_a_threshold_beyond_the_highest_is_none(wanted: float) -> None:
    with pytest.raises(ValueError, match="drives the sum up"):
        compute_threshold((1.0,), (1.0,), wanted, 1.0)


@pytest.mark.parametrize("wanted", [1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 8.0, 9.0])
def test_the_threshold_is_the_lowest_of_all(wanted: float) -> None:
    assert compute_threshold((1.0,), (1.0,), wanted, 1.0) == math.ceil(wanted)


@pytest.mark.parametrize("wanted", range(1, 51))
def test_no_chain_is_followed_that_is_twice_as_long_as_needed(
    monkeypatch: Any, wanted: int
) -> None:
    followed: list[int] = []

    def solve(_: Any, __: Any, cells: int) -> float:
        followed.append(cells)
        return float(cells)

    monkeypatch.setattr(run_length, "_solve", solve)

    assert compute_threshold((1.0,), (1.0,), float(wanted), 1.0) == wanted
    assert max(followed) < 2 * wanted


@pytest.mark.parametrize(
    ("weights", "shares", "words"),
    [
        ((), (), "every weight needs"),
        ((1.0,), (0.5, 0.5), "every weight needs"),
        ((math.nan, 1.0), FAIR, "finite"),
        ((math.inf, -1.0), FAIR, "finite"),
        ((1.0, -math.inf), FAIR, "finite"),
        ((1.0, -1.0), (0.5, 0.4), "add up"),
        ((1.0, -1.0), (0.5, 0.6), "add up"),
        ((1.0, -1.0), (1.5, -0.5), "add up"),
    ],
)
def test_what_is_wrong_with_the_evidence_is_said(
    weights: Any, shares: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        compute_mean_run_length(weights, shares, 1.0)


@pytest.mark.parametrize("excess", [2.0**-20, -(2.0**-20)])
def test_probabilities_add_up_to_one_but_for_their_rounding(excess: float) -> None:
    mean = compute_mean_run_length((1.0, 1.0), (0.5, 0.5 + excess), 0.5)

    assert mean == pytest.approx(1.0)
    with pytest.raises(ValueError, match="add up"):
        compute_mean_run_length((1.0, 1.0), (0.5, 0.5 + 1.0001 * excess), 0.5)


@pytest.mark.parametrize("threshold", [-0.1, 0.0, 50.01])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold_nat must"):
        compute_mean_run_length((1.0,), (1.0,), threshold, 1.0)


@pytest.mark.parametrize("lattice", [0.0, -0.1, 1.001, math.inf])
def test_a_lattice_out_of_range_is_refused(lattice: float) -> None:
    with pytest.raises(ValueError, match="lattice_nat must"):
        compute_mean_run_length((1.0,), (1.0,), 1.0, lattice)
    with pytest.raises(ValueError, match="lattice_nat must"):
        compute_threshold((1.0,), (1.0,), 1.0, lattice)


@pytest.mark.parametrize("wanted", [0.95, -5.0])
def test_less_than_one_attempt_is_no_run_length(wanted: float) -> None:
    with pytest.raises(ValueError, match="mean_run_length"):
        compute_threshold((-1.0, 1.0), (0.9, 0.1), wanted)


@pytest.mark.parametrize(
    ("solved", "wanted"),
    [(1.0, 1.0), (0.95, math.inf), (-3.0, math.inf), (math.nan, math.inf)],
)
def test_a_solution_that_cannot_be_stands_for_beyond_counting(
    monkeypatch: Any, solved: float, wanted: float
) -> None:
    monkeypatch.setattr(np.linalg, "solve", lambda *_: np.array([solved, 7.0]))

    assert compute_mean_run_length((-1.0, 1.0), FAIR, 1.0) == wanted


@pytest.mark.parametrize("attempts", [0, -1, math.nan])
def test_a_way_back_takes_one_attempt_at_least(attempts: Any) -> None:
    with pytest.raises(ValueError, match="attempts_min must"):
        ReturnTest(OUTCOMES, 0.01, 0.05, attempts_min=attempts)
