"""What the guard's class adds to its kernel: arming, copies, and what goes wrong."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety import guard as guard_module
from safety.capsules import make_surroundings
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.verdicts import STATE, make_state
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

MS = 1_000_000
START_NS = 1_000 * MS
NO_TIME: Any = None
NO_FORCE = np.zeros(6)
TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
AROUND, NAMES = make_surroundings(SAFETY, TOOL)
STEP = np.array([20.0 * PERIOD_S**2, 0.0, 0.0, 0.0, 0.0, 0.0])


def make_armed() -> EnvelopeGuard:
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)
    guard.reset(HOME_Q)
    return guard


def vet(guard: EnvelopeGuard, request: Any, cycle: int) -> Any:
    now_ns = START_NS + cycle * 2 * MS
    return guard.vet(request, now_ns, now_ns, now_ns, NO_FORCE)


def set_going(guard: EnvelopeGuard, cycles: int = 10) -> Any:
    """Speed up; return position and velocity."""
    q, qd = HOME_Q, np.zeros(6)
    for cycle in range(cycles):
        qd = qd + STEP / PERIOD_S
        verdict = vet(guard, q + qd * PERIOD_S, cycle)
        assert verdict.reason is HoldReason.NONE
        q = verdict.q
    return q, qd


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_joint_that_is_no_number_leaves_the_guard_unarmed(
    joint: Any, value: Any
) -> None:
    measured = HOME_Q.copy()
    measured[joint] = value
    guard = make_armed()

    guard.reset(measured)

    verdict = vet(guard, HOME_Q, 0)
    assert verdict.reason is HoldReason.NOT_ARMED
    assert np.isnan(verdict.q).all()
    assert (verdict.margin, verdict.value) == (-1.0, 0.0)
    assert guard.hold(HoldReason.LINK_LOST, START_NS).reason is HoldReason.NOT_ARMED


def test_an_unarmed_guard_can_be_armed() -> None:
    guard = make_armed()
    guard.reset(np.full(6, np.nan))

    guard.reset(HOME_Q)

    assert vet(guard, HOME_Q, 0).reason is HoldReason.NONE


def test_a_reset_forgets_all_motion() -> None:
    guard = make_armed()
    q, _ = set_going(guard)
    guard.hold(HoldReason.TRACKING_ERROR, START_NS + 22 * MS)

    guard.reset(q)

    verdict = vet(guard, q, 300)
    assert verdict.reason is HoldReason.NONE
    assert (verdict.q == q).all()
    held = guard.hold(HoldReason.TRACKING_ERROR, START_NS + 602 * MS)
    assert (held.q == q).all()


def test_what_the_guard_answers_becomes_what_it_goes_on_from() -> None:
    guard = make_armed()
    q, qd = set_going(guard)

    first = guard.hold(HoldReason.TRACKING_ERROR, START_NS + 20 * MS)
    second = guard.hold(HoldReason.TRACKING_ERROR, START_NS + 22 * MS)

    assert first.q[0] - q[0] == pytest.approx((qd[0] - 25.0 * PERIOD_S) * PERIOD_S)
    step = (qd[0] - 2 * 25.0 * PERIOD_S) * PERIOD_S
    assert second.q[0] - first.q[0] == pytest.approx(step)


def test_the_unarmed_answer_is_a_copy() -> None:
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)

    vet(guard, HOME_Q, 0).q[:] = 0.0

    assert np.isnan(vet(guard, HOME_Q, 1).q).all()


def test_a_verdict_is_no_window_into_the_guard() -> None:
    guard = make_armed()
    verdict = vet(guard, HOME_Q, 0)

    verdict.q[:] = 99.0

    assert (guard.hold(HoldReason.LINK_LOST, START_NS + 2 * MS).q == HOME_Q).all()


def test_limits_cannot_be_changed_afterwards() -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)
    guard = EnvelopeGuard(limits, AROUND, NAMES)
    guard.reset(HOME_Q)

    limits["joint_acceleration_radps2"] = 1e9

    assert vet(guard, HOME_Q + 10 * STEP, 0).reason is HoldReason.JOINT_ACCELERATION


@pytest.mark.parametrize(
    "request_q",
    [
        np.append(HOME_Q, 0.0),
        HOME_Q.reshape(2, 3),
        HOME_Q[:5],
        "123456",
        None,
        {1, 2},
        [[1.0], [2.0, 3.0]],
    ],
    ids=str,
)
def test_what_has_not_six_numbers_is_no_request(request_q: Any) -> None:
    guard = make_armed()

    verdict = vet(guard, request_q, 0)

    assert verdict.reason is HoldReason.COMMAND_NOT_FINITE
    assert (verdict.q == HOME_Q).all()


def test_a_request_is_never_trimmed_to_fit() -> None:
    guard = make_armed()
    beyond = HOME_Q.copy()
    beyond[2] = -2.95
    guard.reset(np.where(np.arange(6) == 2, -2.9, HOME_Q))

    assert vet(guard, beyond, 0).reason is HoldReason.JOINT_POSITION


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(
    "stamp", [None, "now", 2**63, -(2**63) - 1, math.nan, math.inf]
)
def test_a_stamp_that_does_not_fit_holds(which: Any, stamp: Any) -> None:
    guard = make_armed()
    stamps: list[Any] = [START_NS, START_NS, START_NS]
    stamps[which] = stamp

    command_ns, arm_ns, now_ns = stamps
    verdict = guard.vet(HOME_Q + STEP, command_ns, arm_ns, now_ns, NO_FORCE)

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert (verdict.q == HOME_Q).all()


def test_a_failure_in_motion_ramps_with_a_time_and_stops_dead_without_one() -> None:
    guard = make_armed()
    q, _ = set_going(guard)

    ramped = guard.vet(q, NO_TIME, START_NS, START_NS + 20 * MS, NO_FORCE)
    stopped = guard.vet(q, NO_TIME, START_NS, NO_TIME, NO_FORCE)
    after = guard.hold(HoldReason.LINK_LOST, START_NS + 24 * MS)

    assert ramped.reason is HoldReason.GUARD_EXCEPTION
    assert ramped.q[0] > q[0]
    assert stopped.reason is HoldReason.GUARD_EXCEPTION
    assert (stopped.q == ramped.q).all()
    # It has come to rest: nothing of the old velocity is left.
    assert (after.q == stopped.q).all()


def test_integers_of_any_kind_are_stamps() -> None:
    guard = make_armed()
    now: Any = np.int64(START_NS)
    rounded: Any = float(START_NS)

    verdict = guard.vet(HOME_Q, now, rounded, START_NS, NO_FORCE)

    assert verdict.reason is HoldReason.NONE


def test_a_verdict_names_its_reason_margin_and_value() -> None:
    guard = make_armed()

    verdict = guard.vet(HOME_Q, START_NS - 200 * MS, START_NS, START_NS, NO_FORCE)

    assert verdict.reason is HoldReason.COMMAND_STALE
    assert verdict.margin == pytest.approx(-1.0)
    assert verdict.value == pytest.approx(0.2)
    assert isinstance(verdict.margin, float)
    assert isinstance(verdict.value, float)


def test_a_new_guard_has_made_no_motion_while_it_warmed_up() -> None:
    guard = make_armed()

    verdict = vet(guard, HOME_Q, 0)

    assert verdict.reason is HoldReason.NONE
    assert (verdict.q == HOME_Q).all()


def test_a_new_guard_compiles_its_kernels_and_stands_nowhere(monkeypatch: Any) -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)
    called: list[Any] = []
    monkeypatch.setattr(guard_module, "vet_setpoint", lambda *a: called.append(a))
    monkeypatch.setattr(guard_module, "hold_setpoint", lambda *a: called.append(a))

    guard = EnvelopeGuard(limits, AROUND, NAMES)

    nowhere = np.zeros(1, STATE)
    at_zero = make_state(np.zeros(6))
    vetted, held = called
    assert (guard._state == nowhere).all()
    assert (guard._after == nowhere).all()
    assert guard._state.shape == guard._after.shape == (1,)
    for call in called:
        assert call[0].shape == (1,)
        assert (call[0] == at_zero).all()
        assert call[0] is not guard._state
        assert call[-1] is guard._after
        assert any(part is guard._limits for part in call)
    assert np.array_equal(vetted[1], np.zeros(6))
    assert np.array_equal(vetted[2], np.zeros(6))
    assert vetted[3] == (1, 1, 1)
    assert held[1:3] == (1, 1)


@pytest.mark.parametrize(
    ("radius_m", "length_m"),
    [(0.0, 0.0), (0.1, 0.2), (0.1, 0.05), (0.03, 0.2), (0.03, 0.0), (0.0, 0.15)],
)
def test_a_part_is_as_large_as_it_is_said_to_be(radius_m: Any, length_m: Any) -> None:
    guard = make_armed()

    guard.attach(radius_m, length_m)

    around = guard._around
    tip = [0.0, 0.0, TOOL_Z_M + length_m]
    assert around.radius[-1] == radius_m
    assert around.ends[-1] == pytest.approx(np.array([[0.0, 0.0, TOOL_Z_M], tip]))
    assert np.array_equal(around.radius[:-1], AROUND.radius[:-1])
    assert np.array_equal(around.ends[:-1], AROUND.ends[:-1])


@pytest.mark.parametrize(
    ("radius_m", "length_m"),
    [
        (math.nan, 0.05),
        (0.03, math.nan),
        (-1e-9, 0.05),
        (0.03, -1e-9),
        (math.nextafter(0.1, 1.0), 0.05),
        (0.03, math.nextafter(0.2, 1.0)),
        (math.inf, math.inf),
    ],
)
def test_what_is_no_size_is_the_largest(radius_m: Any, length_m: Any) -> None:
    guard = make_armed()

    guard.attach(radius_m, length_m)

    assert guard._around.radius[-1] == 0.1
    assert guard._around.ends[-1, 1, 2] == pytest.approx(TOOL_Z_M + 0.2)


def test_what_is_around_cannot_be_changed_from_outside() -> None:
    guard = EnvelopeGuard(make_limits(SAFETY, TOOL, PERIOD_S), AROUND, NAMES)

    guard.attach(0.05, 0.1)

    assert AROUND.radius[-1] == 0.0
    assert not np.shares_memory(guard._around.radius, AROUND.radius)


def test_what_cannot_even_be_ramped_is_at_rest_in_every_way() -> None:
    guard = make_armed()
    q, _ = set_going(guard)
    guard.hold(HoldReason.LINK_LOST, START_NS + 20 * MS)

    verdict = guard.hold(HoldReason.LINK_LOST, NO_TIME)

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    told = (verdict.margin, verdict.value, verdict.item, verdict.scale)
    assert told == (-1.0, 0.0, -1, 1.0)
    state = guard._state[0]
    assert not state["qd"].any()
    assert not state["qdd"].any()
    assert state["reason"] == HoldReason.GUARD_EXCEPTION
    assert (state["q"] == verdict.q).all()
    assert (verdict.q[0] - q[0]) > 0.0


def test_granted_or_refused_the_limit_is_named_with_margin_value_and_joint() -> None:
    guard = make_armed()

    granted = vet(guard, HOME_Q + STEP, 0)
    refused = vet(make_armed(), HOME_Q + 2.0 * STEP, 0)

    assert granted.reason is HoldReason.NONE
    assert granted.limit is HoldReason.JOINT_ACCELERATION
    assert (granted.item, granted.margin) == (0, pytest.approx(0.2))
    assert guard.describe(granted) == "joint_acceleration of joint 0: 20"
    assert refused.reason is refused.limit is HoldReason.JOINT_ACCELERATION
    assert (refused.item, refused.margin) == (0, pytest.approx(-0.6))
    assert refused.value == pytest.approx(2.0 * granted.value)


def test_a_hold_is_told_in_full() -> None:
    verdict = make_armed().hold(HoldReason.LINK_LOST, START_NS)

    told = (verdict.margin, verdict.value, verdict.item, verdict.scale)
    assert told == (-1.0, 0.0, -1, 1.0)
    assert verdict.reason is verdict.limit is HoldReason.LINK_LOST


@pytest.mark.parametrize(
    ("reason", "item", "wanted"),
    [
        (HoldReason.COMMAND_STALE, -1, "command_stale: 0.25"),
        (HoldReason.JOINT_SPEED, 0, "joint_speed of joint 0: 0.25"),
        (HoldReason.JOINT_JERK, 5, "joint_jerk of joint 5: 0.25"),
        (HoldReason.WORKSPACE, 0, "workspace along x: 0.25 m"),
        (HoldReason.WORKSPACE, 2, "workspace along z: 0.25 m"),
        (HoldReason.SELF_COLLISION, 0, "self_collision, base and forearm: 0.25 m"),
    ],
)
def test_a_refusal_is_described_by_what_it_broke(
    reason: Any, item: Any, wanted: Any
) -> None:
    verdict = Verdict(HOME_Q, reason, reason, -0.5, 0.25, item)

    assert make_armed().describe(verdict) == wanted


def test_the_motion_that_is_told_is_the_one_that_was_vetted() -> None:
    guard = make_armed()
    still = guard.read_motion()
    q, qd = set_going(guard)

    told = guard.read_motion()

    assert (still[0] == HOME_Q).all()
    assert not np.any(still[1:])
    assert np.allclose(told[0], q, rtol=0.0, atol=1e-15)
    assert np.allclose(told[1], qd, rtol=0.0, atol=1e-9)
    assert np.allclose(told[2], STEP / PERIOD_S**2, rtol=0.0, atol=1e-6)


def test_after_a_stop_there_is_no_acceleration() -> None:
    guard = make_armed()
    q, _ = set_going(guard, cycles=1)
    # One cycle at rest: velocity falls to nothing, and the fall is an acceleration.
    assert vet(guard, q, 1).reason is HoldReason.NONE

    told = guard.read_motion()

    assert guard._state["qdd"].any()
    assert (told[0] == q).all()
    assert not np.any(told[1:])


def test_without_a_known_position_no_motion_is_known() -> None:
    guard = make_armed()
    set_going(guard)
    guard.reset(np.full(6, np.nan))

    q, qd, qdd = guard.read_motion()

    assert np.isnan(q).all()
    assert q.shape == (6,)
    assert np.array_equal(qd, np.zeros(6))
    assert np.array_equal(qdd, np.zeros(6))


def test_before_any_place_is_known_there_is_no_motion_to_tell() -> None:
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)

    q, qd, qdd = guard.read_motion()

    assert np.isnan(q).all()
    assert qd.tolist() == qdd.tolist() == [0.0] * 6


def test_the_motion_that_is_told_is_no_window_into_the_guard() -> None:
    guard = make_armed()
    q, _ = set_going(guard)
    before = guard.read_motion()

    for part in guard.read_motion():
        part[:] = 99.0

    assert np.array_equal(guard.read_motion(), before)
    guard.reset(np.full(6, np.nan))
    guard.read_motion()[0][:] = 0.0
    assert np.isnan(guard.read_motion()[0]).all()
    assert np.isnan(vet(guard, q, 0).q).all()
