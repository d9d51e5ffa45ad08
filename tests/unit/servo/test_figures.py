"""Figures of the servo process: what is counted, and that nothing is left out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.errors import DriverError
from cell.contracts.servo import HoldReason, MotionMode, ServoPhase
from cell.servo.durations import DurationHistogram
from tests.unit.servo.servo_rig import ServoRig, armed_rig


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=300))
def test_a_quantile_is_at_most_seven_percent_above_the_true_one(
    durations_ns: list[int],
) -> None:
    histogram = DurationHistogram()
    for duration_ns in durations_ns:
        histogram.add(duration_ns)

    for ratio in (0.5, 0.999):
        (found,) = histogram.compute_quantiles_ns([ratio])
        true = float(np.quantile(durations_ns, ratio, method="inverted_cdf"))
        assert true <= found <= 1.07 * true + 1.0


def test_a_slow_check_long_ago_still_shows_in_the_tail() -> None:
    histogram = DurationHistogram()
    for _ in range(20):
        histogram.add(900_000)
    for _ in range(9_980):
        histogram.add(10_000)

    p50, p999 = histogram.compute_quantiles_ns((0.5, 0.999))

    assert p50 < 11_000
    assert p999 >= 900_000


@pytest.mark.parametrize("duration_ns", [0, -5, 2**60])
def test_an_absurd_duration_is_counted_somewhere(duration_ns: int) -> None:
    histogram = DurationHistogram()

    histogram.add(duration_ns)

    assert histogram.compute_quantiles_ns([0.5])[0] >= 0.0


def test_a_setpoint_past_the_guard_is_counted_and_not_sent() -> None:
    rig = armed_rig()
    rig.step(10)
    before, sent = rig.state.unguarded_cycles, len(rig.arm.sent)

    with pytest.raises(DriverError, match="without a verdict"):
        rig.session._arm.send_joint_target(rig.desk.follower.q_command, 0.002)

    assert len(rig.arm.sent) == sent
    assert (before, rig.step().unguarded_cycles) == (0, 1)


def test_a_setpoint_changed_after_its_verdict_is_not_sent_and_latches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = armed_rig()
    send, sent = rig.session._arm.send_joint_target, len(rig.arm.sent)

    def tamper(q: Any, period_s: float) -> None:
        send(q + 1e-9, period_s)

    monkeypatch.setattr(rig.session._arm, "send_joint_target", tamper)

    state = rig.step(3)

    assert state.unguarded_cycles == 1
    assert state.phase is ServoPhase.FAULT
    assert len(rig.arm.sent) == sent


def test_a_verdict_serves_one_setpoint_only() -> None:
    rig = armed_rig()
    verdict = rig.desk.follower.brake(
        HoldReason.NO_COMMAND, rig.arm.read_state(), rig.now_ns
    )

    granted = [rig.desk.tally.guard.take_grant(verdict.q) for _ in range(2)]

    assert granted == [True, False]


def test_rests_that_the_supervisor_ordered_are_no_guard_holds() -> None:
    rig = armed_rig()
    rig.move_home_by([0.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.step(100)
    rig.order(MotionMode.BRAKE)
    rig.step(300)

    state = rig.state
    assert state.hold_count == 0
    assert state.hold_counts[HoldReason.BRAKE_ORDERED] == 1


def test_time_spent_on_holds_is_measured_as_well() -> None:
    rig = ServoRig()

    rig.desk.tally.guard.hold(HoldReason.NO_COMMAND, rig.now_ns)
    rig.desk.tally.guard.refresh()

    assert rig.desk.tally.guard.p50_us > 0.0


def test_a_hiccup_of_timing_counts_only_where_it_held_something() -> None:
    rig = armed_rig()
    rig.vouches = False
    resting = rig.step(60)
    rig.vouches = True
    rig.step(3)
    rig.move_home_by([0.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.step(100)
    rig.vouches = False

    moving = rig.step(60)

    assert resting.hold_reason is moving.hold_reason is HoldReason.COMMAND_STALE
    assert (resting.hold_count, moving.hold_count) == (0, 1)
