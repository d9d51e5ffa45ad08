"""Time, verdicts and whole answers of the envelope, at the edges."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from safety import envelope
from safety.capsules import make_surroundings
from safety.envelope import check_time, hold_setpoint, judge, vet_setpoint
from safety.verdicts import (
    NOTHING_NEAR,
    STATE,
    grant,
    make_state,
    refuse,
    slow_down,
    take_nearer,
)
from safety.zones import HalfSpaceZone, ToolCapsule
from tests.fakes.envelope_cases import (
    MOVING,
    MS,
    NOW_NS,
    POSITION,
    SHORT_S,
    SPEED,
    STILL,
    TOOL,
    WORKSPACE,
    find_tool,
    first,
    limits,
    one,
    state,
)
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

AROUND, _ = make_surroundings(SAFETY, TOOL)
STALE = int(HoldReason.COMMAND_STALE)
ARM_STALE = int(HoldReason.ARM_STATE_STALE)
OVERRUN = int(HoldReason.CYCLE_OVERRUN)
KEEP_OUT = int(HoldReason.KEEP_OUT_ZONE)
FORCE = int(HoldReason.TCP_FORCE)
FINGER = ToolCapsule(
    name="finger",
    group="fingers",
    from_m=(0.0, 0.0, TOOL_Z_M),
    to_m=(0.0, 0.0, TOOL_Z_M),
    radius_m=0.03,
)


def judge_time(
    command_ns: int,
    arm_ns: int,
    now_ns: int = NOW_NS,
    qd: Any = STILL,
    vetted_ns: int = NOW_NS - 2 * MS,
) -> Any:
    was = state(qd=qd, vetted_ns=vetted_ns)
    return first(check_time(was[0], (command_ns, arm_ns, now_ns), limits()[0]))


@pytest.mark.parametrize("now_ns", [0, -1, -5_000_000_000])
def test_there_is_no_time_at_or_before_zero(now_ns: Any) -> None:
    assert judge_time(5, 5, now_ns) == (STALE, -1.0, now_ns * 1e-9)


def test_the_first_nanosecond_of_all_is_a_time() -> None:
    assert judge_time(1, 1, now_ns=1, vetted_ns=1) == (0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("age_ns", "wanted"),
    [
        (0, (0, 1.0, 0.0)),
        (95 * MS, (0, 1.0 - 95 / 100, 0.095)),
        (100 * MS, (0, 0.0, 0.1)),
        (101 * MS, (STALE, 1.0 - 101 / 100, 101 * MS * 1e-9)),
        (100 * MS + 1, (STALE, 1.0 - (100 * MS + 1) / (100 * MS), 0.100000001)),
        (-10 * MS, (0, 1.0, 0.0)),
        (-10 * MS - 1, (STALE, -1e-9, (-10 * MS - 1) * 1e-9)),
    ],
)
def test_a_command_has_an_age(age_ns: Any, wanted: Any) -> None:
    assert judge_time(NOW_NS - age_ns, NOW_NS) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("age_ns", "wanted"),
    [
        (25 * MS, (0, 0.5, 0.025)),
        (48 * MS, (0, 1.0 - 48 / 50, 0.048)),
        (50 * MS, (0, 0.0, 0.05)),
        (50 * MS + 1, (ARM_STALE, 1.0 - (50 * MS + 1) / (50 * MS), 0.050000001)),
        (70 * MS, (ARM_STALE, 1.0 - 70 / 50, 0.07)),
        (-10 * MS, (0, 1.0, 0.0)),
        (-10 * MS - 1, (ARM_STALE, -1e-9, (-10 * MS - 1) * 1e-9)),
    ],
)
def test_a_sample_of_the_arm_has_an_age(age_ns: Any, wanted: Any) -> None:
    assert judge_time(NOW_NS, NOW_NS - age_ns) == pytest.approx(wanted, rel=1e-12)


def test_the_nearer_of_both_ages_is_the_margin() -> None:
    assert judge_time(NOW_NS - 50 * MS, NOW_NS)[1] == pytest.approx(0.5)
    assert judge_time(NOW_NS, NOW_NS - 20 * MS)[1] == pytest.approx(0.6)


@pytest.mark.parametrize("stamp_ns", [0, -1, -(2**62)])
@pytest.mark.parametrize(
    ("now_ns", "command_margin", "arm_margin"),
    [(MS, -1e-9, -1e-9), (5_000 * MS, -49.0, -99.0)],
)
def test_a_stamp_of_nothing_is_as_old_as_time(
    stamp_ns: Any, now_ns: Any, command_margin: Any, arm_margin: Any
) -> None:
    command = judge_time(stamp_ns, now_ns, now_ns)
    arm = judge_time(now_ns, stamp_ns, now_ns)

    assert command == pytest.approx((STALE, command_margin, now_ns * 1e-9), rel=1e-12)
    assert arm == pytest.approx((ARM_STALE, arm_margin, now_ns * 1e-9), rel=1e-12)


def test_the_first_stamp_of_all_is_a_stamp() -> None:
    assert judge_time(1, 1, MS)[0] == 0
    old_ns = 200 * MS
    assert judge_time(1, old_ns, old_ns)[2] == (old_ns - 1) * 1e-9
    assert judge_time(old_ns, 1, old_ns)[2] == (old_ns - 1) * 1e-9


@pytest.mark.parametrize(
    ("gap_ns", "wanted"),
    [
        (0, 0),
        (6 * MS, 0),
        (6 * MS + 1, OVERRUN),
        (-1, OVERRUN),
        (-50 * MS, OVERRUN),
    ],
)
def test_in_motion_setpoints_may_be_missing_for_three_cycles(
    gap_ns: Any, wanted: Any
) -> None:
    reason, margin, value = judge_time(
        NOW_NS, NOW_NS, qd=MOVING, vetted_ns=NOW_NS - gap_ns
    )

    assert reason == wanted
    if wanted:
        assert (margin, value) == (-1.0, gap_ns * 1e-9)
    still = judge_time(NOW_NS, NOW_NS, qd=STILL, vetted_ns=NOW_NS - gap_ns)
    assert still == (0, 1.0, 0.0)


def test_a_hold_writes_its_reason_and_one_step_of_the_ramp() -> None:
    before, after = state(qd=MOVING), np.full(1, 7, STATE)

    hold_setpoint(before, 17, NOW_NS, limits(), after)

    assert (after[0]["reason"], after[0]["margin"], after[0]["value"]) == (
        17,
        -1.0,
        0.0,
    )
    assert after[0]["qd"][0] == pytest.approx(0.45)


def ask(before: Any, request: Any, lim: Any = None) -> Any:
    after = np.full(1, 7, STATE)
    lim = limits() if lim is None else lim
    times_ns = (NOW_NS, NOW_NS, NOW_NS)
    vet_setpoint(before, request, STILL, times_ns, lim, AROUND, after)
    return after[0]


def test_a_ramp_keeps_its_reason_its_margin_and_its_value() -> None:
    before = state(qd=MOVING)
    before["reason"], before["margin"], before["value"] = 1, -0.25, 3.5

    now = ask(before, HOME_Q)

    assert (now["reason"], now["margin"], now["value"]) == (1, -0.25, 3.5)


def test_at_rest_an_old_reason_is_forgotten() -> None:
    before = state()
    before["reason"] = 1

    assert ask(before, HOME_Q)["reason"] == 0


@pytest.mark.parametrize("joint", range(6))
def test_the_first_number_that_is_none_is_the_value(joint: Any) -> None:
    request = HOME_Q.copy()
    request[joint:] = -np.inf

    now = ask(state(), request)

    assert now["reason"] == HoldReason.COMMAND_NOT_FINITE
    assert (now["margin"], now["value"]) == (-1.0, -np.inf)


def judge_with(lim: Any, q: Any, command_age_ns: int = 0) -> Any:
    times_ns = (NOW_NS - command_age_ns, NOW_NS, NOW_NS)
    now = make_state(q)[0]
    return judge(state()[0], q, 0.0, times_ns, lim[0], AROUND, now)


def test_the_smallest_of_all_margins_is_the_margin() -> None:
    by_age = judge_with(limits(), HOME_Q, command_age_ns=99 * MS)
    near = HOME_Q + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.13])
    by_joint = judge_with(limits(joint_max_rad=near), HOME_Q)
    place = limits()
    tool_z = find_tool(HOME_Q)[2]
    place["workspace_max_m"][0, 2] = tool_z + 0.001
    by_tool = judge_with(place, HOME_Q)

    assert by_age[:3] == pytest.approx((0, 0.01, 0.099), abs=1e-9)
    assert by_joint[1] == 0.0
    span = tool_z + 0.001 - 0.012
    assert by_tool[:4] == pytest.approx((0, 0.001 / span, tool_z, 2), rel=1e-6)
    named = [found[5] for found in (by_age, by_joint, by_tool)]
    assert named == [STALE, POSITION, WORKSPACE]


def test_in_motion_the_time_since_the_last_setpoint_has_a_limit() -> None:
    still, moving = state(), state(qd=MOVING)
    overrun_ms = limits()[0]["overrun_ns"] / MS
    for before in (still, moving):
        before["vetted_ns"] = NOW_NS - 5 * MS
    times_ns = (NOW_NS - 10 * MS, NOW_NS, NOW_NS)

    at_rest = check_time(still[0], times_ns, limits()[0])
    found = check_time(moving[0], times_ns, limits()[0])

    assert at_rest == pytest.approx((0, 0.9, 0.01, -1, 1.0, STALE))
    wanted = (0, 1.0 - 5.0 / overrun_ms, 0.005, -1, 1.0, OVERRUN)
    assert found == pytest.approx(wanted)


def wall(gap_m: float) -> Any:
    """Surroundings with a floor that far below the finger at home."""
    height_m = find_tool(HOME_Q)[2] - 0.03 - gap_m
    floor = HalfSpaceZone(
        name="floor",
        keeps_out=("fingers",),
        point_m=(0.0, 0.0, height_m),
        normal=(0.0, 0.0, 1.0),
    )
    config = SAFETY.model_copy(update={"tool": (FINGER,), "zones": (floor,)})
    return make_surroundings(config, TOOL)[0]


def answer(
    request: Any, before: Any = None, wrench: Any = STILL, around: Any = AROUND
) -> Any:
    """Vet one request; what is returned is what is noted."""
    before = state() if before is None else before
    after = np.full(1, 7, STATE)
    times_ns = (NOW_NS, NOW_NS, NOW_NS)
    found = vet_setpoint(before, request, wrench, times_ns, limits(), around, after)
    now = after[0]
    noted = [now[key] for key in ("reason", "margin", "value", "item", "scale")]
    assert np.array_equal(np.array(found[:5]), np.array(noted), equal_nan=True)
    assert found[5] > 0
    assert found[5] == found[0] or not found[0]
    return now


def test_what_is_granted_is_noted_with_what_was_nearest() -> None:
    now = answer(HOME_Q)

    # At rest at home the elbow is nearest to its limit of position.
    margins = [
        min(q - low, high - q) / (high - low)
        for q, low, high in zip(
            HOME_Q, SAFETY.joint_min_rad, SAFETY.joint_max_rad, strict=True
        )
    ]
    by_tool = min(
        min(p - low, high - p) / (high - low)
        for p, low, high in zip(
            find_tool(HOME_Q),
            SAFETY.workspace_min_m,
            SAFETY.workspace_max_m,
            strict=True,
        )
    )
    assert (now["reason"], now["scale"]) == (0, 1.0)
    assert now["margin"] == pytest.approx(min(*margins, by_tool), rel=1e-9)
    assert (now["item"], now["value"]) == (2, HOME_Q[2])


def test_what_is_refused_is_noted_with_what_it_broke() -> None:
    now = answer(HOME_Q + one(2, 1.0))

    assert (now["reason"], now["item"], now["scale"]) == (SPEED, 2, 1.0)
    assert now["value"] == pytest.approx(500.0)
    assert now["margin"] == pytest.approx(1.0 - 500.0 / 3.0)


def test_a_ramp_and_a_nonsense_ask_for_the_slowest_approach() -> None:
    times_ns, now = (NOW_NS, NOW_NS, NOW_NS), make_state(HOME_Q)[0]
    ramping = state(qd=MOVING)
    ramping["reason"], ramping["item"] = 5, 3
    odd = HOME_Q * np.nan

    for was, q, wanted in ((ramping, HOME_Q, (5, 3)), (state(), odd, (1, 0))):
        found = judge(was[0], q, 0.0, times_ns, limits()[0], AROUND, now)
        assert found[4] == 0.1
        if was is ramping:
            assert (found[0], found[3]) == wanted
        else:
            assert (found[0], found[3]) == (int(HoldReason.COMMAND_NOT_FINITE), 0)


def test_clearance_is_part_of_every_answer() -> None:
    down = HOME_Q + one(1, 20.0 * PERIOD_S**2)

    near = answer(HOME_Q, around=wall(0.002))
    out = answer(down, around=wall(-0.001))
    towards = answer(down, around=wall(0.0031))

    assert (near["reason"], near["item"]) == (0, 0)
    assert near["margin"] == pytest.approx(0.1, rel=1e-6)
    assert (out["reason"], out["item"]) == (KEEP_OUT, 0)
    assert out["value"] == pytest.approx(-0.001, abs=1e-4)
    assert towards["reason"] == 0
    assert towards["margin"] == pytest.approx(0.15, rel=0.05)
    assert towards["scale"] == pytest.approx(towards["margin"], rel=1e-6)


def push(force_n: float) -> Any:
    return np.array([force_n, 0.0, 0.0, 0.0, 0.0, 0.0])


def loaded(load: float, cap: float = 0.0) -> Any:
    made = state()
    made["load"], made["load_cap"] = load, cap
    return made


def test_a_reading_is_smoothed_and_remembered() -> None:
    now = answer(HOME_Q, loaded(0.4), push(150.0))

    assert now["reason"] == 0
    assert now["load"] == pytest.approx(0.4 + (1.0 - 0.4) * 0.002 / 0.012)
    assert now["load_cap"] == 0.0
    assert now["margin"] <= 1.0 - now["load"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reading_that_is_none_is_refused_and_not_remembered(value: Any) -> None:
    now = answer(HOME_Q, loaded(0.4, 1.7), push(value))

    assert now["reason"] == FORCE
    assert (now["load"], now["load_cap"]) == (0.4, 1.7)


def test_under_too_much_load_the_cap_follows_only_while_the_arm_creeps() -> None:
    creep = HOME_Q + one(5, 1e-5)

    still = answer(HOME_Q, loaded(1.5), push(225.0))
    moved = answer(creep, loaded(1.5), push(225.0))
    refused = answer(HOME_Q + one(5, 1e-3), loaded(1.5, 1.9), push(225.0))

    assert still["reason"] == moved["reason"] == 0
    assert still["load_cap"] == 0.0
    assert moved["load_cap"] == pytest.approx(1.55)
    # Nothing has moved where nothing was granted.
    assert refused["reason"] != 0
    assert refused["load_cap"] == 1.9
    for now in (still, moved):
        assert now["margin"] == 0.0
        assert now["scale"] == 0.1


def test_over_the_limit_motion_ends_with_the_load_it_had() -> None:
    now = answer(HOME_Q + one(5, 1e-5), loaded(1.5, 1.2), push(225.0))

    assert now["reason"] == FORCE
    assert now["value"] == pytest.approx(1.5)
    assert now["margin"] == pytest.approx(-0.5)


def test_the_first_of_two_equally_near_checks_stays() -> None:
    one_check, other = (0, 0.5, 1.0, 2, 0.9, 5), (0, 0.5, 3.0, 4, 0.8, 6)

    assert take_nearer(one_check, other) == (0, 0.5, 1.0, 2, 0.8, 5)
    nearer = (0, 0.25, 3.0, 4, 1.0, 6)
    assert take_nearer(one_check, nearer) == (0, 0.25, 3.0, 4, 0.9, 6)


def test_what_nothing_is_near_to_is_granted_at_full_speed() -> None:
    assert grant(0, 1.0, 0.0, -1) == NOTHING_NEAR


def test_a_refusal_names_its_limit_twice_and_a_grant_once() -> None:
    assert refuse(6, -0.5, 4.5, 3) == (6, -0.5, 4.5, 3, 0.1, 6)
    assert grant(6, 0.5, 1.5, 3) == (0, 0.5, 1.5, 3, 1.0, 6)
    assert slow_down(grant(6, 0.5, 1.5, 3), 0.25) == (0, 0.5, 1.5, 3, 0.25, 6)
    assert slow_down(refuse(6, -0.5, 4.5, 3), 0.25) == (6, -0.5, 4.5, 3, 0.1, 6)


def test_of_the_stamps_the_older_for_its_limit_is_named() -> None:
    was, lim = state(), limits()
    for command_ms, arm_ms, wanted in (
        (50, 24, (0, 0.5, 0.05, -1, 1.0, STALE)),
        (50, 25, (0, 0.5, 0.05, -1, 1.0, STALE)),
        (50, 30, (0, 0.4, 0.03, -1, 1.0, ARM_STALE)),
    ):
        times_ns = (NOW_NS - command_ms * MS, NOW_NS - arm_ms * MS, NOW_NS)
        assert check_time(was[0], times_ns, lim[0]) == pytest.approx(wanted)


def test_the_way_leads_over_the_request_to_where_the_ramp_ends() -> None:
    lim = limits(SHORT_S, joint_acceleration_radps2=np.full(6, 16.0))
    qd = np.array([0.5, -1.0, 0.25, 0.0, 0.0, 0.125])
    was = state(q=STILL)

    way = envelope._compute_way(was[0], qd * SHORT_S, lim[0])

    # A sixteenth of a second to stop, half of it at full speed.
    assert way == pytest.approx(qd * (SHORT_S + 2.0**-5), rel=1e-12)


def test_time_is_no_joint() -> None:
    was, lim = state(qd=MOVING), limits()
    late = state(qd=MOVING, vetted_ns=NOW_NS - 60 * MS)
    for before, times_ns in (
        (was, (NOW_NS, NOW_NS, NOW_NS)),
        (was, (NOW_NS, NOW_NS, 0)),
        (was, (1, NOW_NS, NOW_NS)),
        (was, (NOW_NS, 1, NOW_NS)),
        (late, (NOW_NS, NOW_NS, NOW_NS)),
    ):
        found = check_time(before[0], times_ns, lim[0])
        assert found[3] == -1
        assert found[4] == (0.1 if found[0] else 1.0)


def test_a_zone_is_named_before_a_force() -> None:
    down = HOME_Q + one(1, 20.0 * PERIOD_S**2)

    now = answer(down, loaded(1.5, 1.2), push(225.0), wall(-0.001))

    assert now["reason"] == KEEP_OUT


def test_a_state_of_rest_has_nothing_but_its_place() -> None:
    made = make_state(HOME_Q)[0]

    assert (made["q"] == HOME_Q).all()
    assert (made["item"], made["scale"], made["reason"]) == (-1, 1.0, 0)
    names = ("qd", "qdd", "vetted_ns", "margin", "load", "load_cap", "sigma")
    for key in (*names, "place_m"):
        assert not np.any(made[key]), key
