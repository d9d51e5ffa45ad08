"""Each comparison of the tool's limits at its very edge, and each number answered."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from cell.kinematics.kernels import fill_jacobian, smallest_singular_value
from safety.tool_checks import check_braking, check_tool, compute_place_margin
from safety.verdicts import STATE, make_state
from tests.fakes.envelope_cases import (
    WORKSPACE,
    find_tool,
    find_transforms,
    first,
    limits,
    one,
    state,
)
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S

TCP_SPEED = int(HoldReason.TCP_SPEED)
SINGULAR = int(HoldReason.SINGULAR)
EMPTY: dict[str, Any] = {
    "workspace_min_m": np.full(3, -3.0),
    "workspace_max_m": np.full(3, 3.0),
}


def place(tcp: Any, start: Any, bulge_m: float = 0.0) -> Any:
    lim = limits(workspace_min_m=[-1.0, -2.0, 0.0], workspace_max_m=[1.0, 2.0, 8.0])
    transform = np.zeros((3, 4))
    transform[:, 3] = tcp
    return compute_place_margin(transform, np.array(start, float), bulge_m, lim[0])[:2]


def brake(was: Any, q: Any, start: Any, lim: Any, floor: float = -1.0) -> Any:
    """Check the way to rest, on which no singular value may be below `floor`."""
    frames, tcp = find_transforms(q)
    place_m = np.array(start, dtype=float)
    return check_braking(was[0], np.array(q), place_m, floor, frames, tcp, lim[0])


def find_sigma(q: Any) -> float:
    frames, tcp = find_transforms(q)
    jacobian = np.empty((6, 6))
    fill_jacobian(frames, tcp, jacobian)
    return smallest_singular_value(jacobian)


def judge_tool(was: Any, q: Any, lim: Any) -> Any:
    return first(check_tool(was[0], np.array(q), lim[0], make_state(q)[0]))


def test_the_nearest_face_of_the_workspace_is_the_margin() -> None:
    inside = [0.0, 0.0, 4.0]

    assert place([0.0, 1.0, 4.0], inside) == (0.25, 1)
    assert place([-0.75, 0.0, 4.0], inside) == (0.125, 0)
    assert place([0.0, 0.0, 0.5], inside) == (0.0625, 2)
    assert place([0.0, 0.0, 9.0], inside) == (-0.125, 2)
    assert place([0.0, 0.0, 0.5], inside, bulge_m=0.25) == (0.03125, 2)
    # Both at the same distance: the first axis names it.
    assert place([0.5, 1.0, 4.0], inside) == (0.25, 0)


def test_the_workspace_reaches_to_where_the_tool_stands() -> None:
    assert place([1.5, 0.0, 4.0], [2.0, 0.0, 4.0]) == (0.25, 0)
    assert place([-1.5, 0.0, 4.0], [-2.0, 0.0, 4.0]) == (0.25, 0)
    assert place([9.0, 9.0, 30.0], [90.0, 90.0, 90.0]) == (1.0, 0)


def test_what_is_no_place_breaks_the_workspace() -> None:
    margin, axis = place([0.0, 0.0, math.nan], [0.0, 0.0, 4.0])

    assert math.isnan(margin)
    assert axis == 2


def test_the_tool_may_stand_just_at_a_face_and_not_go_beyond() -> None:
    tcp = find_tool(HOME_Q)
    for axis in range(3):
        high = limits(**EMPTY)
        high["workspace_max_m"][0, axis] = tcp[axis]
        low = limits(**EMPTY)
        low["workspace_min_m"][0, axis] = tcp[axis]
        for lim in (high, low):
            assert judge_tool(state(), HOME_Q, lim) == (0, 0.0, tcp[axis])


def test_a_step_that_ends_just_at_a_face_is_judged_by_its_way_to_rest() -> None:
    q = HOME_Q + one(1, -20.0 * PERIOD_S**2)
    lim = limits(**EMPTY)
    lim["workspace_max_m"][0, 2] = find_tool(q)[2]

    reason, margin, value = judge_tool(state(), q, lim)

    # The step itself is granted: what is named is the bulge of the way that follows.
    assert reason == WORKSPACE
    assert -1e-6 < margin < 0.0
    assert value == find_tool(q)[2]
    lim["workspace_max_m"][0, 2] = np.nextafter(find_tool(q)[2], 0.0)
    assert judge_tool(state(), q, lim)[1] == pytest.approx(0.0, abs=1e-6)
    assert judge_tool(state(), q, lim)[0] == WORKSPACE


def find_speed(was: Any, q: Any) -> Any:
    """The tool's speed to the last digit."""
    reason, _, speed = judge_tool(was, q, limits(**EMPTY, tcp_speed_mps=1e-6))
    assert reason == TCP_SPEED
    return speed


def test_a_step_just_at_the_tool_speed_is_judged_by_its_way_to_rest() -> None:
    was, q = state(qd=one(0, 0.5)), HOME_Q + one(0, 0.5 * PERIOD_S)
    speed = find_speed(was, q)

    at = judge_tool(was, q, limits(**EMPTY, tcp_speed_mps=speed))
    below = judge_tool(was, q, limits(**EMPTY, tcp_speed_mps=np.nextafter(speed, 0.0)))

    assert speed == pytest.approx(0.5 * math.hypot(*find_tool(HOME_Q)[:2]), rel=1e-3)
    # Headroom is kept for the way to rest: that is what is broken.
    assert at[0] == below[0] == TCP_SPEED
    assert at[1] == pytest.approx(1.0 - 1.0 / 0.97, rel=0.01)
    assert below[1] == pytest.approx(0.0, abs=1e-12)


def test_the_way_to_rest_may_just_keep_its_headroom() -> None:
    was, q = state(qd=one(0, 0.5)), HOME_Q + one(0, 0.5 * PERIOD_S)
    start = find_tool(HOME_Q)
    lim = limits(**EMPTY, tcp_speed_mps=0.1)
    # Falls all the way, so the first stretch is the quickest.
    speed = brake(was, q, start, lim)[2]
    limit = speed / 0.97
    while 0.97 * limit > speed:
        limit = np.nextafter(limit, 0.0)
    while 0.97 * limit < speed:
        limit = np.nextafter(limit, 9.0)
    assert 0.97 * limit == speed

    just = limits(**EMPTY, tcp_speed_mps=limit)
    assert brake(was, q, start, just) == (0, 0.0, speed, -1, 1.0, TCP_SPEED)


def bent(angle: float) -> Any:
    q = HOME_Q.copy()
    q[4] = angle
    return q


def test_a_step_just_at_the_least_singular_value_is_granted() -> None:
    # So slowly that the way to rest leads no further.
    was, q = state(q=bent(-0.3)), bent(-0.3 + 1e-8)
    sigma = find_sigma(q)
    assert sigma < find_sigma(was["q"][0])

    at = judge_tool(was, q, limits(**EMPTY, singular_value=sigma))
    above = judge_tool(was, q, limits(**EMPTY, singular_value=np.nextafter(sigma, 1.0)))

    assert at[:2] == (0, 0.0)
    assert above[0] == SINGULAR
    assert above[2] == sigma


def test_a_singular_value_of_nothing_is_no_division_by_nothing() -> None:
    was, q = state(q=bent(-1e-6)), bent(0.0)

    reason, margin, value = judge_tool(was, q, limits(**EMPTY))

    assert reason == SINGULAR
    assert value < 1e-12
    assert margin == 1.0 - 0.08 / 1e-12


def test_standing_in_a_singular_place_has_no_margin_left() -> None:
    assert judge_tool(state(q=bent(-0.01)), bent(-0.01), limits(**EMPTY))[:2] == (
        0,
        0.0,
    )


def test_the_smallest_margin_of_the_tool_counts() -> None:
    by_singularity = judge_tool(state(), HOME_Q, limits(**EMPTY))[1]
    was, q = state(qd=one(0, 0.5)), HOME_Q + one(0, 0.5 * PERIOD_S)
    speed = find_speed(was, q)
    by_speed = judge_tool(was, q, limits(**EMPTY, tcp_speed_mps=speed * 1.1))[1]

    sigma = find_sigma(HOME_Q)
    assert by_singularity == pytest.approx(min(1.0 - 0.08 / sigma, 0.45), abs=0.05)
    assert by_speed == pytest.approx(1.0 - 1.0 / (1.1 * 0.97), rel=0.05)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("tcp_speed_mps", TCP_SPEED),
        ("workspace_min_m", WORKSPACE),
        ("workspace_max_m", WORKSPACE),
        ("flange_from_tcp", SINGULAR),
        ("reach_m", WORKSPACE),
    ],
)
def test_a_limit_of_the_tool_that_is_no_number_is_broken(key: Any, wanted: Any) -> None:
    lim = limits(**EMPTY)
    lim[key] = math.nan

    assert judge_tool(state(), HOME_Q + one(0, 1e-6), lim)[0] == wanted


def test_a_least_singular_value_that_is_no_number_is_met_by_every_approach() -> None:
    was, q = state(q=bent(-0.8)), bent(-0.8 + 1e-5)
    lim = limits(**EMPTY, singular_value=math.nan)

    reason, margin, value = judge_tool(was, q, lim)

    assert reason == SINGULAR
    assert math.isnan(margin)
    assert value == find_sigma(q)


def test_far_outside_the_way_to_rest_has_all_the_room_there_is() -> None:
    lim = limits(workspace_min_m=np.full(3, -3.0), workspace_max_m=np.full(3, -2.0))

    at_rest = brake(state(), HOME_Q, np.full(3, 90.0), lim)

    assert at_rest[0] == 0
    assert at_rest[1] == 1.0


def test_the_speed_of_the_step_counts_where_the_way_to_rest_is_a_short_cut() -> None:
    was, q = state(), HOME_Q + one(0, 3.0 * PERIOD_S)
    slow = {**EMPTY, "joint_acceleration_radps2": np.full(6, 0.75)}
    limit = 3.0 * math.hypot(*find_tool(HOME_Q)[:2]) / 0.9

    reason, margin, _ = judge_tool(was, q, limits(**slow, tcp_speed_mps=limit))

    assert reason == 0
    assert margin == pytest.approx(0.1, abs=1e-3)


def test_a_speed_limit_that_is_no_number_is_broken_on_the_way_to_rest() -> None:
    q = HOME_Q + one(0, 0.5 * PERIOD_S)
    lim = limits(**EMPTY, tcp_speed_mps=math.nan)

    found = brake(state(), q, find_tool(HOME_Q), lim)

    assert found[0] == TCP_SPEED


def test_speed_on_the_way_to_rest_falls_with_the_root_of_what_is_left() -> None:
    folded = np.array([-2.28, -1.0, 2.6, -3.1, -1.57, -0.7])
    # The tool swings out while the joints slow down.
    qd = np.array([1.75, -0.35, -0.8, 1.98, -2.07, 2.35])
    q = folded + qd * PERIOD_S
    lim = limits(**EMPTY, joint_acceleration_radps2=np.full(6, 3.0))
    stretch_s = 2.35 / 3.0 / 2 / 4
    places = [find_tool(q + qd * stretch_s * k) for k in range(5)]
    speeds = [
        float(np.linalg.norm(places[k] - places[k - 1])) / stretch_s
        for k in range(1, 5)
    ]
    falling = [speed * math.sqrt((4 - k) / 4) for k, speed in enumerate(speeds)]
    assert max(falling) == falling[3] > 2 * falling[0]
    lim["tcp_speed_mps"] = falling[3] / 0.97 / 0.9

    found = brake(state(q=folded), q, find_tool(folded), lim)

    assert found[0] == 0
    assert found[1] == pytest.approx(0.1, rel=1e-6)


def test_a_singular_value_may_fall_by_its_rounding_and_no_more() -> None:
    was = state(q=bent(-0.3))
    wanted = find_sigma(was["q"][0]) - 2.0**-30
    low, high = -0.3, -0.3 + 1e-6
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if find_sigma(bent(middle)) > wanted else (low, middle)
        )
    # The turn of the base changes nothing but the last digits.
    q = bent(low)
    for number in range(20_000):
        q[4] = low + (number % 41 - 20) * 2.0**-54
        q[0] += 1e-6
        if find_sigma(q) == wanted:
            break
    assert find_sigma(q) == wanted
    lim = limits(**EMPTY, singular_value=1.0)
    beyond = q + one(4, 1e-9)

    assert judge_tool(was, q, lim)[0] != SINGULAR
    assert judge_tool(was, beyond, lim)[0] == SINGULAR


def judge_whole(was: Any, q: Any, lim: Any) -> Any:
    now = np.full(1, 7, STATE)
    found = check_tool(was[0], np.array(q), lim[0], now[0])
    return found, now[0]["sigma"]


def test_speed_without_a_limit_is_refused_even_at_rest() -> None:
    lim = limits(**EMPTY, tcp_speed_mps=math.nan)

    assert judge_tool(state(), HOME_Q, lim)[0] == TCP_SPEED


def test_the_singular_value_of_a_request_is_noted_for_the_next() -> None:
    q = bent(-0.4)

    found, noted = judge_whole(state(q=bent(-0.4 - 1e-6)), q, limits(**EMPTY))

    assert found[0] == 0
    assert noted == find_sigma(q)


@pytest.mark.parametrize(
    ("noted", "wanted"), [(0.05, SINGULAR), (0.5, SINGULAR), (1e-6, 0), (0.02, 0)]
)
def test_what_was_noted_is_what_a_request_is_compared_with(
    noted: Any, wanted: Any
) -> None:
    # A place whose singular value is between those that may have been noted.
    q = bent(-0.1)
    assert 0.02 < find_sigma(q) < 0.05
    was = state(q=q)
    was["sigma"], was["place_m"] = noted, find_tool(q)

    found, _ = judge_whole(was, q, limits(**EMPTY))

    assert found[0] == wanted


@pytest.mark.parametrize("noted", [0.0, -1.0, math.nan])
def test_where_nothing_was_noted_it_is_worked_out(noted: Any) -> None:
    was = state(q=bent(-0.1))
    was["sigma"] = noted

    away, _ = judge_whole(was, bent(-0.1 - 1e-5), limits(**EMPTY))
    nearer, _ = judge_whole(was, bent(-0.1 + 1e-5), limits(**EMPTY))

    assert away[0] == 0
    assert nearer[0] == SINGULAR


@pytest.mark.parametrize(
    ("share", "wanted"), [(1.0, 0.1), (1.02, 0.1), (1.2, 0.4), (1.45, 0.9), (1.6, 1.0)]
)
def test_towards_a_singularity_it_goes_more_slowly(share: Any, wanted: Any) -> None:
    q = bent(-0.3)
    least = find_sigma(q) / share
    if share == 1.0:
        least = find_sigma(q)

    nearer, _ = judge_whole(
        state(q=bent(-0.3 - 1e-8)), q, limits(**EMPTY, singular_value=least)
    )
    away, _ = judge_whole(
        state(q=bent(-0.3 + 1e-8)), q, limits(**EMPTY, singular_value=least)
    )

    assert nearer[0] == away[0] == 0
    assert nearer[4] == pytest.approx(wanted, rel=1e-9)
    assert away[4] == 1.0


def test_what_the_way_to_rest_breaks_is_told_in_full() -> None:
    was, q = state(qd=one(0, 0.5)), HOME_Q + one(0, 0.5 * PERIOD_S)
    start = find_tool(HOME_Q)
    low = limits(**EMPTY)
    low["workspace_max_m"][0, 1] = start[1] - 1.0
    slow = limits(**EMPTY, tcp_speed_mps=0.01)

    out = brake(was, q, np.full(3, -9.0), low)
    fast = brake(was, q, start, slow)

    assert out[0] == WORKSPACE
    assert out[2] == pytest.approx(find_tool(q)[1])
    assert out[3:] == (1, 0.1, WORKSPACE)
    assert fast[0] == TCP_SPEED
    assert fast[2] == pytest.approx(0.5 * math.hypot(*start[:2]), rel=0.01)
    assert fast[3:] == (-1, 0.1, TCP_SPEED)


def test_far_outside_no_face_is_near() -> None:
    tcp = np.full((3, 4), 50.0)
    lim = limits(workspace_min_m=np.zeros(3), workspace_max_m=np.ones(3))

    found = compute_place_margin(tcp, np.full(3, 90.0), 0.0, lim[0])

    assert found == (1.0, 0)


def test_the_place_of_a_request_is_noted_for_the_next() -> None:
    q, now = HOME_Q + one(0, 1e-6), make_state(HOME_Q)

    check_tool(state()[0], q, limits(**EMPTY)[0], now[0])

    assert (now[0]["place_m"] == find_tool(q)).all()


def test_speed_is_measured_from_the_place_that_was_noted() -> None:
    was = state()
    was["sigma"] = find_sigma(HOME_Q)
    was["place_m"] = find_tool(HOME_Q) + one(1, 0.03)[:3]

    found, _ = judge_whole(was, HOME_Q, limits(**EMPTY, tcp_speed_mps=0.5))

    assert found[0] == TCP_SPEED
    assert found[2] == pytest.approx(0.03 / PERIOD_S)


def test_the_speed_of_a_step_may_be_the_nearest_limit() -> None:
    was = state()
    was["sigma"] = find_sigma(HOME_Q)
    was["place_m"] = find_tool(HOME_Q) + one(1, 1e-3)[:3]

    found, _ = judge_whole(was, HOME_Q, limits(**EMPTY, tcp_speed_mps=0.625))

    assert found == pytest.approx((0, 0.2, 0.5, -1, 1.0, TCP_SPEED))


def test_a_tool_without_a_place_at_rest_breaks_the_workspace() -> None:
    found, _ = judge_whole(state(), HOME_Q, limits(**EMPTY, reach_m=math.nan))

    assert found[0] == WORKSPACE
    assert math.isnan(found[1])


def test_no_ramp_leads_below_the_singular_value_it_may_have() -> None:
    # The wrist straightens out all the way to rest.
    qd = one(4, 1.0)
    q = bent(-0.3)
    was = state(q=q - qd * PERIOD_S, qd=qd)
    start = find_tool(was["q"][0])
    lim = limits(**EMPTY, joint_acceleration_radps2=np.full(6, 10.0))
    sigmas = [find_sigma(q + qd * 0.0125 * k) for k in range(1, 5)]
    assert sigmas == sorted(sigmas, reverse=True)

    for k in range(1, 5):
        above = brake(was, q, start, lim, floor=sigmas[k - 1] * (1.0 + 1e-9))
        below = brake(was, q, start, lim, floor=sigmas[k - 1] * (1.0 - 1e-9))
        assert above[0] == SINGULAR
        assert above[2] == pytest.approx(sigmas[k - 1], rel=1e-9)
        assert above[1] == pytest.approx(1.0 - 0.08 / sigmas[k - 1], rel=1e-9)
        assert above[3:] == (-1, 0.1, SINGULAR)
        assert (below[0] == 0) is (k == 4)


def test_who_leaves_a_singular_place_may_not_go_back_on_the_ramp() -> None:
    lim = limits(**EMPTY, singular_value=1.0)
    was = state(q=bent(-0.3))

    # Out of it, and out of it while it stops.
    found, _ = judge_whole(was, bent(-0.3 - 1e-4), lim)

    assert found[0] == 0
    straight = limits(**EMPTY)
    into, _ = judge_whole(
        state(q=bent(-0.1), qd=one(4, 2.0)), bent(-0.1 + 2.0 * PERIOD_S), straight
    )
    assert into[0] == SINGULAR


def test_a_singular_value_of_nothing_on_the_ramp_divides_by_nothing() -> None:
    qd = one(4, 1.0)
    q = bent(-0.05)
    was = state(q=q - qd * PERIOD_S, qd=qd)
    lim = limits(**EMPTY, joint_acceleration_radps2=np.full(6, 2.5))

    found = brake(was, q, find_tool(was["q"][0]), lim, floor=1e-3)

    # After a quarter of the way, a twentieth of a radian, the wrist is straight.
    assert found[0] == SINGULAR
    assert found[1] == 1.0 - 0.08 / 1e-12


def test_at_rest_the_way_to_rest_is_the_place_alone() -> None:
    lim = limits(workspace_min_m=np.full(3, -1.0), workspace_max_m=np.full(3, 1.0))
    place_m = find_tool(HOME_Q)

    found = brake(state(), HOME_Q, place_m, lim, floor=9.0)
    lost = brake(state(), HOME_Q, place_m, limits(**EMPTY, reach_m=math.nan))

    assert found[1] == pytest.approx((1.0 - np.abs(place_m).max()) / 2.0)
    axis = int(np.abs(place_m).argmax())
    assert (found[0], *found[2:]) == (0, place_m[axis], axis, 1.0, WORKSPACE)
    assert lost[0] == WORKSPACE


def test_only_the_ramp_has_to_stay_above_the_floor_and_not_its_begin() -> None:
    qd = one(4, -1.0)
    q = bent(-0.3)
    was = state(q=q - qd * PERIOD_S, qd=qd)
    floor = find_sigma(q) * (1.0 + 1e-6)

    found = brake(was, q, find_tool(was["q"][0]), limits(**EMPTY), floor=floor)

    assert found[0] == 0


def test_the_ramp_may_end_just_at_a_face_and_not_beyond() -> None:
    qd = one(0, 0.5)
    q = HOME_Q + qd * PERIOD_S
    was, start = state(qd=qd), find_tool(HOME_Q)
    # To the last digit as the envelope works it out.
    rates = (q - HOME_Q) / PERIOD_S
    stretch_s = 0.5 * (abs(rates[0]) / 25.0) / 4
    places = [find_tool(q + rates * stretch_s * k) for k in range(5)]
    axis = int(np.argmax(np.abs(places[4] - places[0])[:2]))
    sign = 1.0 if places[4][axis] > places[0][axis] else -1.0
    key = "workspace_max_m" if sign > 0 else "workspace_min_m"
    lim = limits(**EMPTY, reach_m=0.0)
    lim[key][0, axis] = places[4][axis]

    at = brake(was, q, start, lim)
    lim[key][0, axis] = places[4][axis] - sign * 1e-6
    beyond = brake(was, q, start, lim)

    assert at == (0, 0.0, places[4][axis], axis, 1.0, WORKSPACE)
    assert beyond[0] == WORKSPACE
    assert beyond[1] == pytest.approx(-1e-6 / (3.0 + abs(places[4][axis])), rel=0.5)
    assert beyond[2:] == (places[4][axis], axis, 0.1, WORKSPACE)


def test_a_tool_that_gets_lost_on_the_ramp_breaks_the_workspace() -> None:
    qd = one(0, 0.5)
    lim = limits(**EMPTY, flange_from_tcp=math.nan)

    found = brake(state(qd=qd), HOME_Q + qd * PERIOD_S, find_tool(HOME_Q), lim)

    assert found[0] == WORKSPACE
