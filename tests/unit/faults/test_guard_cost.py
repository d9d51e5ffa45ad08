"""The measure of what the guard costs: one cycle of it, and its figures by hand."""

import numpy as np
import pytest

from cell.contracts.servo import MotionMode
from ops.settings import load_settings
from tests.fakes.policy import make_chunk
from tests.running_cell import ROOT
from tests.stress.guard_cost import (
    PERIOD_S,
    CostMeter,
    CycleCost,
    compute_interval,
)


@pytest.fixture
def meter() -> CostMeter:
    return CostMeter(load_settings(ROOT / "config.yaml"))


def test_one_cycle_is_carried_out_with_the_guard_and_without(meter: CostMeter) -> None:
    home = meter._free.q

    cost = meter.measure(make_chunk(0))

    assert cost is not None
    assert cost.holds == ()
    # Down, up, over to the outfeed and down again take some seconds.
    assert 2.0 < cost.free * PERIOD_S < 10.0
    assert cost.free <= cost.guarded <= 1.05 * cost.free
    assert cost.check_ms > 0.0
    assert np.max(np.abs(meter._free.q - home)) > 0.1
    assert meter._guarded.q == pytest.approx(meter._free.q, abs=1e-3)


def test_a_hold_of_the_guard_is_counted(meter: CostMeter) -> None:
    track = meter._guarded
    before = len(track.holds)

    # Through the table.
    q_below = track.q + np.array([0.0, 1.5, 0.0, 0.0, 0.0, 0.0])
    track.carry_out(mode=MotionMode.MOVE_JOINT, q_target=q_below)

    assert len(track.holds) == before + 1


def test_the_cost_is_the_ratio_of_all_cycles_within_its_interval() -> None:
    costs = [
        CycleCost(guarded, 1000, 1.0, ()) for guarded in (1000, 1010, 1020, 1000, 1020)
    ]

    ratio, low, high = compute_interval(costs, 0)

    assert ratio == pytest.approx(0.01)
    assert 0.0 <= low < ratio < high <= 0.02
    assert compute_interval(costs, 0) == (ratio, low, high)
    assert compute_interval(costs[:1], 0) == (0.0, 0.0, 0.0)
