"""The one approved way to rest: from which state, until when, and how far."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import FallbackPlan, PlanRefusal
from cell.contracts.servo import HoldReason
from safety.action_cache import (
    LAG_S,
    PLAN_LIFE_S,
    REST_TOLERANCE_RAD,
    SWING_RAD,
    SafeActionCache,
)
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from tests.fakes.adversary import attack
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

MS = 1_000_000
NOW_NS = 5_000 * MS
LIFE_NS = round(PLAN_LIFE_S * 1e9)
TOOL = Pose(np.array([0.0, 0.0, TOOL_Z_M]), np.array([1.0, 0.0, 0.0, 0.0]))
ACCELERATION_RADPS2 = 25.0
REST = np.zeros(6)


def make_cache(q: Any = HOME_Q) -> SafeActionCache:
    cache = SafeActionCache(make_limits(SAFETY, TOOL, PERIOD_S))
    cache.reset(q)
    return cache


def one_joint(index: int, value: float) -> Vector:
    vector = np.zeros(6)
    vector[index] = value
    return vector


def take_plan(cache: SafeActionCache, q: Vector, now_ns: int) -> FallbackPlan:
    plan = cache.take(q, now_ns)
    assert isinstance(plan, FallbackPlan), plan
    return plan


def test_life_and_tolerances_are_those_of_the_decision() -> None:
    assert (PLAN_LIFE_S, REST_TOLERANCE_RAD, LAG_S, SWING_RAD) == (0.2, 0.1, 0.06, 0.05)


def test_before_any_reset_there_is_no_plan_whatever_was_granted() -> None:
    cache = SafeActionCache(make_limits(SAFETY, TOOL, PERIOD_S))
    cache.approve(HOME_Q, REST, NOW_NS)

    assert cache.take(HOME_Q, NOW_NS) is PlanRefusal.NOT_APPROVED


@pytest.mark.parametrize(
    "measured", [np.full(6, np.nan), HOME_Q + one_joint(2, np.inf), np.zeros(5), None]
)
def test_a_reset_to_an_unknown_position_approves_nothing(measured: Any) -> None:
    cache = make_cache()

    cache.reset(measured)

    assert cache.take(HOME_Q, NOW_NS) is PlanRefusal.NOT_APPROVED


def test_after_a_reset_the_plan_is_to_stay_and_its_time_begins_with_its_use() -> None:
    cache = make_cache()

    plan = take_plan(cache, HOME_Q, NOW_NS)

    assert (plan.q == HOME_Q).all()
    assert plan.q_low == pytest.approx(HOME_Q - SWING_RAD)
    assert plan.q_high == pytest.approx(HOME_Q + SWING_RAD)
    assert plan.tolerance_rad == pytest.approx(np.full(6, REST_TOLERANCE_RAD))
    assert plan.approved_ns == NOW_NS
    assert plan.valid_until_ns == NOW_NS + LIFE_NS


def test_a_reset_position_is_kept_though_its_array_changes() -> None:
    measured = HOME_Q.copy()
    cache = make_cache(measured)
    measured += 1.0

    assert (take_plan(cache, HOME_Q, NOW_NS).q == HOME_Q).all()


def test_the_plan_leads_from_the_granted_setpoint_along_its_velocity() -> None:
    cache = make_cache()
    qd = np.array([2.0, -1.0, 0.0, 0.0, 0.0, 0.5])
    cache.approve(HOME_Q, qd, NOW_NS)

    plan = take_plan(cache, HOME_Q, NOW_NS + 2 * MS)

    stopping_s = 2.0 / ACCELERATION_RADPS2
    assert plan.q_low == pytest.approx(
        HOME_Q + np.minimum(qd * stopping_s, 0.0) - SWING_RAD
    )
    assert plan.q_high == pytest.approx(
        HOME_Q + np.maximum(qd * stopping_s, 0.0) + SWING_RAD
    )
    assert plan.tolerance_rad == pytest.approx(REST_TOLERANCE_RAD + LAG_S * np.abs(qd))
    assert plan.approved_ns == NOW_NS


def test_the_joint_that_needs_longest_sets_the_stretch_of_all() -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)
    limits["joint_acceleration_radps2"] = [25.0, 5.0, 25.0, 25.0, 25.0, 25.0]
    cache = SafeActionCache(limits)
    cache.reset(HOME_Q)
    cache.approve(HOME_Q, np.array([2.0, -1.0, 0.0, 0.0, 0.0, 0.0]), NOW_NS)

    plan = take_plan(cache, HOME_Q, NOW_NS)

    assert plan.q_high[0] == pytest.approx(HOME_Q[0] + 2.0 * 0.2 + SWING_RAD)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_arm_may_be_anywhere_along_the_plan_but_no_further(
    joint: int, side: float
) -> None:
    inside = SWING_RAD + REST_TOLERANCE_RAD - 1e-6
    outside = SWING_RAD + REST_TOLERANCE_RAD + 1e-6

    near = make_cache().take(HOME_Q + one_joint(joint, side * inside), NOW_NS)
    far = make_cache().take(HOME_Q + one_joint(joint, side * outside), NOW_NS)

    assert isinstance(near, FallbackPlan)
    assert far is PlanRefusal.OTHER_POSE


def test_an_arm_in_motion_may_lag_by_as_much_as_its_speed_explains() -> None:
    qd = one_joint(0, 2.0)
    behind = SWING_RAD + REST_TOLERANCE_RAD + 2.0 * LAG_S

    for excess, is_good in ((-1e-6, True), (1e-6, False)):
        cache = make_cache()
        cache.approve(HOME_Q, qd, NOW_NS)
        found = cache.take(HOME_Q - one_joint(0, behind + excess), NOW_NS)
        assert isinstance(found, FallbackPlan) is is_good


@pytest.mark.parametrize(
    ("age_ns", "is_good"),
    [(-1, False), (0, True), (LIFE_NS, True), (LIFE_NS + 1, False)],
)
def test_a_plan_lives_for_its_time_and_not_before_it(
    age_ns: int, is_good: bool
) -> None:
    cache = make_cache()
    cache.approve(HOME_Q, REST, NOW_NS)

    found = cache.take(HOME_Q, NOW_NS + age_ns)

    assert isinstance(found, FallbackPlan) is is_good
    assert is_good or found is PlanRefusal.EXPIRED


def test_a_hold_that_is_confirmed_lives_on() -> None:
    cache = make_cache()
    cache.approve(HOME_Q, REST, NOW_NS)

    for turn in range(1, 20):
        plan = take_plan(cache, HOME_Q, NOW_NS + turn * LIFE_NS)
        assert plan.approved_ns == NOW_NS
        assert plan.valid_until_ns == NOW_NS + (turn + 1) * LIFE_NS

    late_ns = NOW_NS + 20 * LIFE_NS + 1
    assert cache.take(HOME_Q, late_ns) is PlanRefusal.EXPIRED


@pytest.mark.parametrize(
    "measured", [np.full(6, np.nan), HOME_Q - one_joint(5, np.inf), np.zeros(7), None]
)
def test_an_arm_that_is_not_seen_has_no_plan(measured: Any) -> None:
    assert make_cache().take(measured, NOW_NS) is PlanRefusal.NOT_MEASURED


def test_a_setpoint_that_is_no_number_makes_no_plan() -> None:
    cache = make_cache()
    cache.approve(HOME_Q, np.full(6, np.nan), NOW_NS)

    assert cache.take(HOME_Q, NOW_NS) is PlanRefusal.OTHER_POSE


def test_once_refused_nothing_but_a_reset_brings_a_plan_back() -> None:
    cache = make_cache()
    assert cache.take(HOME_Q + 1.0, NOW_NS) is PlanRefusal.OTHER_POSE

    cache.approve(HOME_Q, REST, NOW_NS)
    assert cache.take(HOME_Q, NOW_NS) is PlanRefusal.OTHER_POSE
    cache.reset(HOME_Q)
    assert isinstance(cache.take(HOME_Q, NOW_NS), FallbackPlan)


def test_a_newer_grant_takes_the_place_of_a_plan_that_was_begun() -> None:
    cache = make_cache()
    take_plan(cache, HOME_Q, NOW_NS)
    cache.approve(HOME_Q + 0.5, REST, NOW_NS + 2 * MS)

    plan = take_plan(cache, HOME_Q + 0.5, NOW_NS + 4 * MS)

    assert (plan.q == HOME_Q + 0.5).all()
    assert plan.approved_ns == NOW_NS + 2 * MS


@pytest.mark.parametrize("seed", range(8))
def test_every_ramp_of_the_guard_stays_on_the_plan_that_was_approved(seed: int) -> None:
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)
    path, reasons = attack(guard, np.random.default_rng(seed), 300)
    cache = make_cache(path[0])
    now_ns = NOW_NS

    for before, q, reason in zip(path, path[1:], reasons, strict=False):
        now_ns += 2 * MS
        if reason is HoldReason.NONE:
            cache.approve(q, (q - before) / PERIOD_S, now_ns)
            continue
        plan = take_plan(cache, before, now_ns)
        assert (q >= plan.q_low).all()
        assert (q <= plan.q_high).all()


@pytest.mark.parametrize("joint", range(6))
def test_the_edge_of_a_plan_is_still_on_it(joint: int) -> None:
    for side in ("low", "high"):
        for beyond in (False, True):
            cache = SafeActionCache(make_limits(SAFETY, TOOL, PERIOD_S))
            cache.reset(HOME_Q)
            plan = cache.take(HOME_Q, 1)
            assert isinstance(plan, FallbackPlan)
            edge = HOME_Q.copy()
            bound = plan.q_low - plan.tolerance_rad
            if side == "high":
                bound = plan.q_high + plan.tolerance_rad
            edge[joint] = bound[joint]
            if beyond:
                away = -np.inf if side == "low" else np.inf
                edge[joint] = np.nextafter(edge[joint], away)

            found = cache.take(edge, 2)

            assert (found is PlanRefusal.OTHER_POSE) is beyond
