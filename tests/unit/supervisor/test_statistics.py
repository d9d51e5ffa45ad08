"""Counts, ratios and what survives a restart."""

import json
import math

import pytest

from cell.supervisor.causes import Cause
from cell.supervisor.statistics import Statistics, compute_wilson


def test_the_interval_is_wilsons() -> None:
    # 95 of 100: value of the textbook formula.
    low, high = compute_wilson(95, 100) or [0.0, 0.0]

    assert low == pytest.approx(0.88825, abs=1e-5)
    assert high == pytest.approx(0.97846, abs=1e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 50), (50, 50)])
def test_the_interval_stays_within_probabilities(successes: int, trials: int) -> None:
    low, high = compute_wilson(successes, trials) or [-1.0, 2.0]

    assert 0.0 <= low <= successes / trials <= high <= 1.0


def test_without_trials_there_is_no_interval() -> None:
    assert compute_wilson(0, 0) is None


def test_an_attempt_after_a_failure_is_no_first_try() -> None:
    statistics = Statistics()
    statistics.note_failed(is_lost=False)
    statistics.note_placed(5.0)
    statistics.note_placed(6.0)

    figures = statistics.compute_figures()

    assert figures["first_tries"] == 2
    assert figures["first_try_success_ratio"] == 0.5
    assert figures["attempt_success_ratio"] == pytest.approx(2 / 3)


def test_an_abandoned_attempt_is_counted_but_not_judged() -> None:
    statistics = Statistics()
    statistics.note_attempt()

    figures = statistics.compute_figures()

    assert figures["attempts"] == 1
    assert figures["first_try_success_ratio"] is None


def test_figures_without_a_past_are_null_not_zero() -> None:
    figures = Statistics().compute_figures()

    for name in ("picks_per_hour", "cycle_s_p50", "policy_ms_p50", "success_interval"):
        assert figures[name] is None


def test_the_rate_counts_all_time_since_the_first_start() -> None:
    statistics = Statistics()
    statistics.note_placed(5.0)
    statistics.observed_s = 10.0

    assert statistics.compute_figures()["picks_per_hour"] == pytest.approx(360.0)


def test_counts_survive_a_restart_through_the_status_document() -> None:
    before = Statistics()
    before.note_attempt()
    before.note_placed(5.0)
    before.note_stop(Cause.PLC_LOST, is_assist=True)
    before.observed_s = 12.5
    after = Statistics()

    after.restore(json.loads(json.dumps(before.compute_figures())))

    assert after.placed == 1
    assert after.attempts == 1
    assert after.manual_assists == 1
    assert after.observed_s == 12.5
    assert after.stops == {"plc_lost": 1}


@pytest.mark.parametrize("odd", [-1, "7", None, True, 1.5, math.inf, [3]])
def test_odd_entries_of_the_past_are_left_out(odd: object) -> None:
    statistics = Statistics()

    statistics.restore({"placed": odd, "observed_s": "x", "stops_by_reason": [1]})

    assert statistics.placed == 0
    assert statistics.observed_s == 0.0
