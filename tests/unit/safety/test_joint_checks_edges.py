"""Each comparison of the joint limits at its very edge, and each number answered."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from safety import joint_checks
from safety.joint_checks import check_joints, compute_joint_margin, compute_travel
from tests.fakes.envelope_cases import (
    POSITION,
    SHORT_S,
    SPEED,
    STILL,
    first,
    limits,
    one,
    state,
)
from tests.fakes.motion_oracle import PERIOD_S

ACCELERATION = int(HoldReason.JOINT_ACCELERATION)
JERK = int(HoldReason.JOINT_JERK)
WIDE: dict[str, Any] = {
    "joint_min_rad": np.full(6, -4.0),
    "joint_max_rad": np.full(6, 4.0),
}
EVEN = {
    "joint_min_rad": np.full(6, -1.0),
    "joint_max_rad": np.full(6, 1.0),
    "joint_speed_radps": np.full(6, 4.0),
    "joint_acceleration_radps2": np.full(6, 64.0),
    "joint_jerk_radps3": np.full(6, 2.0**20),
}


def test_a_margin_of_position_is_a_ratio_of_the_range() -> None:
    lim = limits(joint_min_rad=np.full(6, -1.0), joint_max_rad=np.full(6, 3.0))[0]

    assert compute_joint_margin(0.0, 0.0, 0, lim) == 0.25
    assert compute_joint_margin(2.5, 0.0, 5, lim) == 0.125
    assert compute_joint_margin(3.0, 0.0, 1, lim) == 0.0
    assert compute_joint_margin(-1.5, 0.0, 2, lim) == -0.125
    assert compute_joint_margin(3.5, 4.0, 3, lim) == 0.125
    assert compute_joint_margin(-1.5, -2.0, 4, lim) == 0.125


def check(q: Any, was: Any, lim: Any) -> Any:
    return first(check_joints(was[0], np.array(q, dtype=float), lim[0]))


@pytest.mark.parametrize("joint", range(6))
def test_a_position_at_its_limit_is_granted_and_one_beyond_is_not(joint: Any) -> None:
    lim = limits(joint_min_rad=np.full(6, -1.0), joint_max_rad=np.full(6, 1.0))
    for sign in (1.0, -1.0):
        at = one(joint, sign)
        beyond = at + one(joint, sign * 2.0**-40)
        was = state(q=at)

        assert check(at, was, lim) == (0, 0.0, sign)
        reason, margin, value = check(beyond, was, lim)
        assert (reason, value) == (POSITION, beyond[joint])
        assert margin == -(2.0**-41)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_joint_may_just_reach_its_limit_while_it_stops(joint: Any, sign: Any) -> None:
    # In powers of two: half a second to stop, an eighth of a radian on the way.
    period_s = 2.0**-8
    qd = one(joint, sign * 0.5)
    was = state(q=np.zeros(6), qd=qd)
    q = qd * period_s
    stop = abs(q[joint]) + 0.125
    change: dict[str, Any] = dict(WIDE)
    key = "joint_max_rad" if sign > 0 else "joint_min_rad"
    change["joint_acceleration_radps2"] = np.full(6, 1.0)
    change[key] = np.full(6, sign * 4.0)

    change[key][joint] = sign * stop
    granted = check(q, was, limits(period_s, **change))
    change[key][joint] = sign * (stop - 2.0**-30)
    refused = check(q, was, limits(period_s, **change))

    assert granted == (0, 0.0, sign * stop)
    assert refused[0] == POSITION
    assert refused[2] == sign * stop
    assert refused[1] == pytest.approx(-(2.0**-30) / 4.1, rel=0.1)


@pytest.mark.parametrize("joint", range(6))
def test_speed_has_a_limit_with_room_for_rounding(joint: Any) -> None:
    lim = limits(**WIDE, joint_speed_radps=np.full(6, 2.0))
    for sign in (1.0, -1.0):
        for excess, wanted in (
            (-1e-3, 0),
            (0.9e-9, 0),
            (2.0**-30, 0),
            (0.95e-9, SPEED),
        ):
            qd = one(joint, sign * 2.0 * (1.0 + excess))
            was = state(q=np.zeros(6), qd=qd)
            reason, margin, value = check(qd * PERIOD_S, was, lim)
            assert reason == wanted
            assert margin == pytest.approx(max(-excess, 0.0) if not wanted else -excess)
            assert value == pytest.approx(qd[joint])


@pytest.mark.parametrize("joint", range(6))
def test_acceleration_has_a_limit_with_room_for_rounding(joint: Any) -> None:
    lim = limits(**WIDE, joint_acceleration_radps2=np.full(6, 8.0))
    for sign in (1.0, -1.0):
        for excess, wanted in (
            (-1e-3, 0),
            (4.6e-7, 0),
            (4.8e-7, ACCELERATION),
            (1e-3, ACCELERATION),
        ):
            qdd = sign * 8.0 * (1.0 + excess)
            was = state(q=np.zeros(6), qd=one(joint, -sign * 0.25))
            q = (was["qd"][0] + one(joint, qdd) * PERIOD_S) * PERIOD_S
            reason, margin, value = check(q, was, lim)
            assert reason == wanted
            bound = -excess if wanted else max(-excess, 0.0)
            assert margin == pytest.approx(bound, rel=1e-3, abs=1e-9)
            assert value == pytest.approx(qdd)


def test_acceleration_just_at_its_room_for_rounding_is_granted() -> None:
    # A period that makes the room a power of two, so that it can be met exactly.
    period_s = 2.0**-9
    room = 2.0**-30 / period_s
    assert room == 2.0**-21
    lim = limits(period_s, **WIDE)
    was = state(q=np.zeros(6))
    q = one(2, 3e-5)
    qdd = (q[2] / period_s - 0.0) / period_s
    limit = qdd / (1.0 + room)
    while 1.0 - qdd / limit < -room:
        limit = np.nextafter(limit, math.inf)
    while 1.0 - qdd / limit > -room:
        limit = np.nextafter(limit, 0.0)
    lim["joint_acceleration_radps2"] = limit

    assert 1.0 - qdd / limit == -room
    assert check(q, was, lim)[0] == 0


def test_joints_are_looked_at_in_order_of_what_they_break() -> None:
    tight: dict[str, Any] = {
        "joint_max_rad": np.full(6, 1e-6),
        "joint_min_rad": np.full(6, -1.0),
    }
    was = state(q=np.zeros(6))
    step = np.full(6, 0.05)

    assert check(step, was, limits(**tight))[0] == POSITION
    assert check(step, was, limits(**WIDE))[0] == SPEED
    assert check(step / 20, was, limits(**WIDE))[0] == ACCELERATION


def test_the_nearest_joint_limit_is_the_margin() -> None:
    was = state(q=np.zeros(6), qd=one(1, 1.0))
    lim = limits(**WIDE, joint_speed_radps=np.full(6, 8.0))
    q = one(1, 1.0) * PERIOD_S

    by_position = check(q, was, lim)[1]
    lim["joint_speed_radps"][0, 1] = 1.25
    by_speed = check(q, was, lim)[1]
    was["qd"][0, 1] = 1.0 - 0.9 * 25.0 * PERIOD_S
    by_acceleration = check(q, was, lim)[1]

    assert by_position == pytest.approx((4.0 - 1.0 * (PERIOD_S + 0.02)) / 8.0)
    assert by_speed == pytest.approx(0.2)
    assert by_acceleration == pytest.approx(0.1)


@pytest.mark.parametrize("joint", range(6))
def test_what_is_no_number_breaks_the_first_limit_that_it_meets(joint: Any) -> None:
    q = one(joint, 1e-6)
    still = state(q=np.zeros(6))
    lost = state(q=one(joint, math.nan))
    odd = state(q=np.zeros(6), qd=one(joint, math.nan))

    def spoiled(key: str) -> Any:
        lim = limits(**WIDE)
        lim[key][0, joint] = math.nan
        return lim

    found = check(q, still, spoiled("joint_min_rad"))
    assert found[0] == POSITION
    assert found[2] == q[joint]
    assert check(q, still, spoiled("joint_speed_radps"))[0] == SPEED
    assert check(q, lost, limits(**WIDE))[0] == SPEED
    assert check(q, odd, limits(**WIDE))[0] == ACCELERATION
    assert check(q, still, spoiled("joint_acceleration_radps2"))[0] == ACCELERATION


def test_with_all_joints_outside_the_rates_are_the_margin() -> None:
    # So small a range that each joint, on its way back, has more than all of it.
    lim = limits(joint_min_rad=np.zeros(6), joint_max_rad=np.full(6, 1e-6))
    was = state(q=np.full(6, 3e-6))

    reason, margin, _ = check(np.full(6, 1.5e-6), was, lim)

    assert reason == 0
    assert margin == pytest.approx(1.0 - 1.5e-6 / PERIOD_S**2 / 25.0)


def test_a_way_to_rest_that_has_no_end_is_refused_where_it_is_no_number() -> None:
    period_s = 2.0**-8
    was = state(q=np.zeros(6), qd=one(1, 0.25))
    endless = limits(period_s, **WIDE, joint_acceleration_radps2=np.full(6, 5e-324))

    with np.errstate(all="ignore"):
        reason, margin, value = check(one(1, 0.25 * period_s), was, endless)

    assert reason == POSITION
    assert math.isnan(margin)
    assert math.isnan(value)


def test_the_sum_of_ways_is_the_travel() -> None:
    assert compute_travel(np.array([1.0, -2, 3, -4, 5, -6]), np.zeros(6)) == 21.0
    assert compute_travel(np.zeros(6), np.array([1.0, -2, 3, -4, 5, -6])) == 21.0


def whole(q: Any, was: Any, lim: Any) -> Any:
    return check_joints(was[0], np.array(q, dtype=float), lim[0])


def test_of_joints_equally_near_the_first_is_named() -> None:
    at_rest = whole(STILL, state(q=STILL), limits(SHORT_S, **EVEN))

    assert at_rest == (0, 0.5, 0.0, 0, 1.0, POSITION)


def test_of_speeds_equally_near_the_first_is_named() -> None:
    qd = np.array([0.0, 3.0, 3.0, 0.0, 0.0, 0.0])
    wide = EVEN | {"joint_acceleration_radps2": np.full(6, 2.0**20)}

    found = whole(qd * SHORT_S, state(q=STILL, qd=qd), limits(SHORT_S, **wide))

    assert found == (0, 0.25, 3.0, 1, 1.0, SPEED)


def test_of_places_of_rest_equally_near_the_first_is_named() -> None:
    qd = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])

    found = whole(qd * SHORT_S, state(q=STILL, qd=qd), limits(SHORT_S, **EVEN))

    stop = SHORT_S + 0.5 / 64.0
    wanted = pytest.approx((1.0 - stop) / 2.0), pytest.approx(stop)
    assert found == (0, *wanted, 1, 1.0, POSITION)


def test_a_change_as_near_as_a_place_does_not_take_its_name() -> None:
    # Comes to rest with half of the acceleration that there is.
    was = state(q=STILL, qd=one(3, -32.0 * SHORT_S))

    found = whole(STILL, was, limits(SHORT_S, **EVEN))

    assert found == (0, 0.5, 0.0, 0, 1.0, POSITION)


def test_a_change_nearer_than_a_place_is_named_with_its_value() -> None:
    was = state(q=STILL, qd=one(3, -48.0 * SHORT_S))

    found = whole(STILL, was, limits(SHORT_S, **EVEN))

    assert found == (0, 0.25, 48.0, 3, 1.0, ACCELERATION)


def test_far_outside_and_at_rest_no_joint_is_near_anything() -> None:
    lim = limits(joint_min_rad=np.zeros(6), joint_max_rad=np.full(6, 1e-6))
    was = state(q=np.full(6, -5e-6))

    assert whole(np.full(6, -2.5e-6), was, lim)[1] < 1.0
    was["qd"] = was["qdd"] = 0.0
    still = state(q=np.full(6, -5e-6))
    # On its way back each joint has more than the whole range.
    lim["joint_speed_radps"] = lim["joint_acceleration_radps2"] = 1e30
    lim["joint_jerk_radps3"] = 1e30
    assert whole(np.full(6, -2.5e-6), still, lim) == (0, 1.0, 0.0, -1, 0.1, 0)


def change(was: Any, qd: Any, lim: Any) -> Any:
    return joint_checks._check_change(was[0], np.array(qd, dtype=float), lim[0])


def test_without_a_change_nothing_is_near() -> None:
    lim = limits(SHORT_S, **EVEN)

    assert change(state(q=STILL), STILL, lim) == (0, 1.0, 0.0, -1, 1.0, 0)


def test_of_changes_equally_near_the_first_is_named() -> None:
    lim = limits(SHORT_S, **EVEN)
    half = 32.0 * SHORT_S
    both = change(state(), one(1, half) + one(2, half), lim)
    # Jerk of joint 4 is as near as acceleration of joint 1.
    lim["joint_jerk_radps3"][0, 4] = 2.0 * 16.0 / SHORT_S
    jerk = change(state(), one(1, half) + one(4, 16.0 * SHORT_S), lim)
    alone = change(state(), one(4, 16.0 * SHORT_S), lim)

    assert both == jerk == (0, 0.5, 32.0, 1, 1.0, ACCELERATION)
    assert alone == (0, 0.5, 16.0 / SHORT_S, 4, 1.0, JERK)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_jerk_has_a_limit_with_room_for_rounding(joint: Any, sign: Any) -> None:
    lim = limits(SHORT_S, **EVEN, tcp_speed_mps=3.0)
    lim["joint_jerk_radps3"] = 2.0**10
    # At its room to the bit, and beyond it.
    at = sign * 2.0**10 * (1.0 + 2.0**-30 / SHORT_S**2)
    beyond = sign * 2.0**10 * (1.0 + 2.0**-29 / SHORT_S**2)

    granted = change(state(), one(joint, at * SHORT_S**2), lim)
    refused = change(state(), one(joint, beyond * SHORT_S**2), lim)

    assert granted[0] == 0
    assert granted[1] == -(2.0**-30) / SHORT_S**2
    assert refused == (
        JERK,
        -(2.0**-29) / SHORT_S**2,
        beyond,
        joint,
        0.1,
        JERK,
    )


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_only_what_goes_towards_a_limit_is_slowed_down(joint: Any, sign: Any) -> None:
    q = one(joint, sign * (1.0 - 2.0**-6))
    step = one(joint, sign * 2.0**-20)
    lim = limits(SHORT_S, **EVEN)

    still = whole(q, state(q=q), lim)
    near = whole(q + step, state(q=q, qd=step / SHORT_S), lim)
    away = whole(q - step, state(q=q, qd=-step / SHORT_S), lim)

    assert still[4] == away[4] == 1.0
    assert near[4] == pytest.approx(2.0**-6 / 0.05, rel=1e-3)
