"""How injections are judged, on traces made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cell.contracts.servo import HoldReason, MotionMode
from tests.stress.injection_judging import Injection
from tests.stress.injections import (
    BARS_MS,
    Storm,
    find_misses,
    is_met,
    summarise,
)
from tests.stress.servo_trace import (
    CycleSample,
    OrderSample,
    compute_delay_ms,
    describe_changes,
    find_final_hold_ns,
    find_following_ns,
    find_hold_ns,
    find_longest_gap_ms,
    find_lost_ns,
    find_rest_order_ns,
    find_setpoint_rest_ns,
    find_stop_ns,
    find_vouched_ns,
    is_held,
)

MS = 1_000_000
NONE, STALE, BRAKE = HoldReason.NONE, HoldReason.COMMAND_STALE, HoldReason.BRAKE_ORDERED


def trace(
    *stretches: tuple[HoldReason, int, float], step: int = 2
) -> list[CycleSample]:
    """Stretches of a reason, so many cycles, at a speed [rad/s] of the first joint."""
    found: list[CycleSample] = []
    q = np.zeros(6)
    for reason, cycles, speed in stretches:
        for _ in range(cycles):
            q = q + np.array([speed * step / 1e3, 0.0, 0.0, 0.0, 0.0, 0.0])
            stamp_ns = (len(found) + 1) * step * MS
            found.append(CycleSample(stamp_ns, reason, 7, q, 0))
    return found


def test_a_hold_is_timed_from_its_first_cycle_for_the_reason_asked_for() -> None:
    cycles = trace((NONE, 10, 1.0), (BRAKE, 5, 0.5), (STALE, 5, 0.0))

    assert find_hold_ns(cycles, 0, frozenset({STALE})) == 32 * MS
    assert find_hold_ns(cycles, 0, frozenset({NONE})) == 2 * MS
    assert find_hold_ns(cycles, 41 * MS, frozenset({STALE})) is None


def test_setpoints_rest_with_their_last_change() -> None:
    cycles = trace((NONE, 10, 1.0), (STALE, 5, 0.5), (STALE, 20, 0.0))

    assert find_setpoint_rest_ns(cycles, 10 * MS, 70 * MS) == 30 * MS
    assert find_setpoint_rest_ns(cycles, 40 * MS, 70 * MS) is None


def test_a_stop_begins_with_the_hold_in_which_the_setpoints_came_to_rest() -> None:
    # A hold that passed, and was followed by motion, is none.
    cycles = trace(
        (NONE, 5, 1.0), (STALE, 3, 0.5), (NONE, 5, 1.0), (BRAKE, 5, 0.5), (NONE, 9, 0.0)
    )

    assert find_stop_ns(cycles, 0, 60 * MS) == 28 * MS
    assert find_stop_ns(trace((NONE, 9, 1.0)), 0, 60 * MS) is None
    assert find_stop_ns(trace((STALE, 9, 0.0)), 0, 60 * MS) is None


def test_a_hold_that_began_for_another_reason_counts_from_its_beginning() -> None:
    late, stale = HoldReason.CYCLE_OVERRUN, frozenset({STALE})
    onto = trace((NONE, 5, 1.0), (late, 9, 0.5), (STALE, 9, 0.0))
    # The motion went on, so that hold stopped nothing.
    between = trace(
        (NONE, 5, 1.0), (late, 3, 0.5), (NONE, 5, 1.0), (STALE, 5, 0.5), (STALE, 5, 0.0)
    )
    unnamed = trace((NONE, 5, 1.0), (late, 9, 0.5), (late, 9, 0.0))

    assert find_final_hold_ns(onto, 0, 60 * MS, stale) == 12 * MS
    assert find_final_hold_ns(between, 0, 60 * MS, stale) == 28 * MS
    assert find_final_hold_ns(unnamed, 0, 60 * MS, stale) is None


def order(seen_ms: int, number: int, mode: MotionMode) -> OrderSample:
    return OrderSample(seen_ms * MS, 0, number, mode)


def test_what_a_hold_costs_ends_with_the_next_order_that_is_followed() -> None:
    # Held at 12 ms; given up, and given anew as another order.
    cycles = [
        *trace((NONE, 5, 1.0), (BRAKE, 10, 0.0)),
        CycleSample(32 * MS, NONE, 8, np.zeros(6), 0),
        CycleSample(42 * MS, NONE, 9, np.zeros(6), 0),
    ]
    orders = [
        order(0, 7, MotionMode.MOVE_JOINT),
        order(31, 8, MotionMode.HOLD),
        order(40, 9, MotionMode.MOVE_JOINT),
    ]

    assert find_lost_ns(cycles, orders, 12 * MS) == 30 * MS
    assert find_lost_ns(cycles[:-1], orders, 12 * MS) is None


@pytest.mark.parametrize(("over_ms", "lost_ms"), [(8, 5), (20, 13)])
def test_what_the_cell_does_without_the_arm_is_not_lost(
    over_ms: int, lost_ms: int
) -> None:
    held = [
        replace(cycle, reached_id=7 if cycle.stamp_ns >= over_ms * MS else 6)
        for cycle in trace((NONE, 5, 1.0), (BRAKE, 10, 0.0))
    ]
    cycles = [*held, CycleSample(105 * MS, NONE, 8, np.zeros(6), 0)]
    orders = [
        order(0, 7, MotionMode.MOVE_JOINT),
        order(100, 8, MotionMode.MOVE_LINEAR),
    ]

    assert find_lost_ns(cycles, orders, 12 * MS) == lost_ms * MS
    assert find_lost_ns(held, orders, 12 * MS) is None
    assert find_lost_ns(held, orders[:1], 12 * MS) == (lost_ms - 5) * MS


def test_an_arm_is_held_from_the_cycle_that_names_a_reason_to_the_last_that_does() -> (
    None
):
    cycles = trace((NONE, 5, 1.0), (STALE, 3, 0.5), (NONE, 5, 1.0))

    held = [ms for ms in range(-2, 40, 2) if is_held(cycles, ms * MS)]

    assert len(held) == 3
    assert held[-1] == held[0] + 4
    assert is_held(cycles, held[0] * MS + 1)


def test_the_delay_is_the_way_not_gone_at_the_speed_that_was() -> None:
    # 100 ms at rest and 20 ms at half the speed cost 110 ms.
    cycles = trace((NONE, 20, 1.0), (STALE, 50, 0.0), (NONE, 10, 0.5), (NONE, 20, 1.0))

    assert compute_delay_ms(cycles, 40 * MS, 300 * MS) == pytest.approx(110.0)
    assert compute_delay_ms(cycles, 40 * MS, 100 * MS) is None
    assert compute_delay_ms(trace((NONE, 9, 0.0)), 10 * MS, 300 * MS) is None


def test_orders_tell_when_they_were_vouched_for_and_when_rest_was_ordered() -> None:
    orders = [
        OrderSample(5 * MS, 5 * MS, 7, MotionMode.MOVE_JOINT),
        OrderSample(25 * MS, 25 * MS, 7, MotionMode.MOVE_JOINT),
        OrderSample(45 * MS, 0, 7, MotionMode.MOVE_JOINT),
        OrderSample(65 * MS, 65 * MS, 8, MotionMode.BRAKE),
    ]

    assert find_vouched_ns(orders, 60 * MS) == 25 * MS
    assert find_vouched_ns(orders, 1 * MS) is None
    assert find_rest_order_ns(orders, 30 * MS) == 65 * MS
    assert find_rest_order_ns(orders[:3], 30 * MS) is None
    assert [order.is_move for order in orders] == [True, True, True, False]


def test_turns_and_changes_are_described() -> None:
    cycles = trace((NONE, 5, 1.0), (STALE, 5, 0.0))
    late = CycleSample(60 * MS, NONE, 8, np.zeros(6), 0)
    orders = [OrderSample(0, 0, 7, MotionMode.MOVE_JOINT)]

    assert find_longest_gap_ms([*cycles, late], 0, 100 * MS) == 40.0
    assert find_longest_gap_ms([], 0, 100 * MS) == 0.0
    assert find_following_ns([*cycles, late], 12 * MS) == 60 * MS
    assert describe_changes([*cycles, late], orders, 4 * MS) == [
        "0 ms NONE MOVE_JOINT 7",
        "8 ms COMMAND_STALE MOVE_JOINT 7",
        "56 ms NONE ? 8",
    ]


GOOD = Injection("paused", {"hold_ms": 61.0, "rest_ms": 180.0}, {"unguarded_cycles": 0})


@pytest.mark.parametrize(
    "bad",
    [
        Injection("paused", {"hold_ms": 101.0}),
        Injection("paused", {"hold_ms": float("inf")}),
        Injection("paused", {"hold_ms": float("nan")}),
        Injection("paused", {"hold_ms": 61.0}, wrong=("it moved",)),
        Injection("paused", {"hold_ms": 61.0}, {"unguarded_cycles": 1}),
    ],
)
def test_whatever_is_late_or_wrong_or_never_came_is_a_miss(bad: Injection) -> None:
    storm = Storm("stale", 0, [GOOD, bad])

    assert find_misses(storm.records, BARS_MS) == [bad]
    assert not is_met(storm, 2)
    assert len(summarise(storm)["misses"]) == 1


def test_a_run_is_met_when_it_is_whole_and_nothing_was_seen() -> None:
    storm = Storm("stale", 0, [GOOD, GOOD])

    assert is_met(storm, 2)
    assert not is_met(storm, 3)
    assert summarise(storm)["figures_ms"]["hold_ms (all)"]["worst"] == 61.0
    storm.violations["workspace"] += 1
    assert not is_met(storm, 2)
