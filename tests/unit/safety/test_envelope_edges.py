"""Each comparison of the envelope at its very edge, and each number that it answers."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from cell.kinematics.kernels import (
    compose,
    fill_frames,
    fill_jacobian,
    smallest_singular_value,
)
from safety import envelope, joint_checks
from safety.capsules import make_surroundings
from safety.envelope import check_time, hold_setpoint, judge, vet_setpoint
from safety.joint_checks import (
    check_joints,
    compute_joint_margin,
    compute_travel,
)
from safety.limits import make_limits
from safety.ramp import compute_stopping_time, is_at_rest, ramp
from safety.tool_checks import check_braking, check_tool, compute_place_margin
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
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

MS = 1_000_000
NOW_NS = 1_000 * MS
TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
AROUND, _ = make_surroundings(SAFETY, TOOL)
STILL = np.zeros(6)
MOVING = np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0])


def state(q: Any = HOME_Q, qd: Any = STILL, vetted_ns: int = NOW_NS - 2 * MS) -> Any:
    made = make_state(q)
    made["qd"], made["vetted_ns"] = qd, vetted_ns
    return made


def limits(period_s: float = PERIOD_S, **changes: Any) -> Any:
    made = make_limits(SAFETY, TOOL, period_s)
    for key, value in changes.items():
        made[key] = value
    return made


def first(found: Any) -> Any:
    """Reason, margin and value; what is refused asks for the slowest approach."""
    if found[0]:
        assert found[4] == 0.1
    return found[:3]


def judge_time(
    command_ns: int,
    arm_ns: int,
    now_ns: int = NOW_NS,
    qd: Any = STILL,
    vetted_ns: int = NOW_NS - 2 * MS,
) -> Any:
    was = state(qd=qd, vetted_ns=vetted_ns)
    return first(check_time(was[0], (command_ns, arm_ns, now_ns), limits()[0]))


# --- time ---------------------------------------------------------------------------

STALE = int(HoldReason.COMMAND_STALE)
ARM_STALE = int(HoldReason.ARM_STATE_STALE)
OVERRUN = int(HoldReason.CYCLE_OVERRUN)


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


# --- rest and the ramp ----------------------------------------------------------------


@pytest.mark.parametrize("joint", range(6))
def test_one_moving_joint_is_motion(joint: Any) -> None:
    for speed in (1e-300, -1e-300, 1.0):
        qd = np.zeros(6)
        qd[joint] = speed
        assert not is_at_rest(state(qd=qd)[0])


def test_rest_is_no_joint_moving_and_not_a_balance_of_both_ways() -> None:
    assert is_at_rest(state()[0])
    # Two velocities that add up to nothing, whichever two.
    for one, other in combinations(range(6), 2):
        qd = np.zeros(6)
        qd[one], qd[other] = 1.0, -1.0
        assert not is_at_rest(state(qd=qd)[0])


def test_the_slowest_to_stop_decides_how_long_it_takes() -> None:
    lim = limits(joint_acceleration_radps2=[10.0, 20.0, 25.0, 25.0, 25.0, 5.0])
    qd = np.array([1.0, -4.0, 0.0, 0.0, 0.0, 0.5])

    assert compute_stopping_time(qd, lim[0]) == 0.2
    assert compute_stopping_time(np.array([0, 0, 0, 0, 0, -2.0]), lim[0]) == 0.4
    assert compute_stopping_time(np.zeros(6), lim[0]) == 0.0


def ramp_from(qd: Any, vetted_ns: int, now_ns: int) -> Any:
    after = np.full(1, 7, STATE)
    ramp(state(qd=qd, vetted_ns=vetted_ns)[0], now_ns, limits()[0], after[0])
    assert after[0]["vetted_ns"] == now_ns
    return after[0]


def test_one_step_of_the_ramp_takes_off_what_one_period_can() -> None:
    now = ramp_from(MOVING, NOW_NS - 2 * MS, NOW_NS)

    assert now["qd"][0] == pytest.approx(0.45, rel=1e-12)
    assert now["q"][0] == pytest.approx(HOME_Q[0] + 0.45 * PERIOD_S, rel=1e-14)
    assert not now["qd"][1:].any()
    assert (now["q"][1:] == HOME_Q[1:]).all()


@pytest.mark.parametrize("speed", [0.05, 0.03, -0.05, 0.0])
def test_the_last_step_of_the_ramp_is_rest(speed: Any) -> None:
    now = ramp_from(np.array([0.0, speed, 0, 0, 0, 0]), NOW_NS - 2 * MS, NOW_NS)

    assert not now["qd"].any()
    assert (now["q"] == HOME_Q).all()


@pytest.mark.parametrize(
    ("vetted_ns", "now_ns", "goes_on"),
    [
        (NOW_NS - 50 * MS, NOW_NS, True),
        (NOW_NS - 50 * MS - 1, NOW_NS, False),
        (1, 1 + 50 * MS, True),
        (1, 2 + 50 * MS, False),
        (0, NOW_NS, True),
        (-5, NOW_NS, True),
    ],
)
def test_after_a_standstill_the_ramp_is_over(
    vetted_ns: Any, now_ns: Any, goes_on: Any
) -> None:
    now = ramp_from(MOVING, vetted_ns, now_ns)

    assert bool(now["qd"].any()) is goes_on
    if not goes_on:
        assert (now["q"] == HOME_Q).all()


def test_a_hold_writes_its_reason_and_one_step_of_the_ramp() -> None:
    before, after = state(qd=MOVING), np.full(1, 7, STATE)

    hold_setpoint(before, 17, NOW_NS, limits(), after)

    assert (after[0]["reason"], after[0]["margin"], after[0]["value"]) == (
        17,
        -1.0,
        0.0,
    )
    assert after[0]["qd"][0] == pytest.approx(0.45)


# --- verdicts -------------------------------------------------------------------------


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


def find_transforms(q: Any) -> tuple[Any, Any]:
    frames, tcp = np.empty((7, 3, 4)), np.empty((3, 4))
    fill_frames(np.array(q), frames)
    compose(frames[6], limits()[0]["flange_from_tcp"], tcp)
    return frames, tcp


def find_tool(q: Any) -> Any:
    """The tool point to the last digit, as the envelope sees it."""
    return find_transforms(q)[1][:, 3]


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


# --- joints ---------------------------------------------------------------------------

POSITION = int(HoldReason.JOINT_POSITION)
SPEED = int(HoldReason.JOINT_SPEED)
ACCELERATION = int(HoldReason.JOINT_ACCELERATION)
JERK = int(HoldReason.JOINT_JERK)
WIDE: dict[str, Any] = {
    "joint_min_rad": np.full(6, -4.0),
    "joint_max_rad": np.full(6, 4.0),
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


def one(joint: int, value: float) -> Any:
    vector = np.zeros(6)
    vector[joint] = value
    return vector


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


# --- tool -----------------------------------------------------------------------------

WORKSPACE = int(HoldReason.WORKSPACE)
TCP_SPEED = int(HoldReason.TCP_SPEED)
SINGULAR = int(HoldReason.SINGULAR)
EMPTY: dict[str, Any] = {
    "workspace_min_m": np.full(3, -3.0),
    "workspace_max_m": np.full(3, 3.0),
}


def judge_tool(was: Any, q: Any, lim: Any) -> Any:
    return first(check_tool(was[0], np.array(q), lim[0], make_state(q)[0]))


def place(tcp: Any, start: Any, bulge_m: float = 0.0) -> Any:
    lim = limits(workspace_min_m=[-1.0, -2.0, 0.0], workspace_max_m=[1.0, 2.0, 8.0])
    transform = np.zeros((3, 4))
    transform[:, 3] = tcp
    return compute_place_margin(transform, np.array(start, float), bulge_m, lim[0])[:2]


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


# --- what the slow-down is made of ----------------------------------------------------


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


def test_the_sum_of_ways_is_the_travel() -> None:
    assert compute_travel(np.array([1.0, -2, 3, -4, 5, -6]), np.zeros(6)) == 21.0
    assert compute_travel(np.zeros(6), np.array([1.0, -2, 3, -4, 5, -6])) == 21.0


def test_just_the_time_that_one_step_takes_is_the_last_step_of_a_ramp() -> None:
    after = np.full(1, 7, STATE)
    was = state(qd=one(3, 2.0**-4), vetted_ns=NOW_NS - 2 * MS)
    lim = limits(2.0**-8, joint_acceleration_radps2=np.full(6, 16.0))

    ramp(was[0], NOW_NS, lim[0], after[0])

    assert not after[0]["qd"].any()
    assert not after[0]["qdd"].any()
    assert (after[0]["q"] == HOME_Q).all()
    assert (after[0]["scale"], after[0]["sigma"]) == (1.0, 0.0)


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


# --- the whole answer -----------------------------------------------------------------

KEEP_OUT = int(HoldReason.KEEP_OUT_ZONE)
FORCE = int(HoldReason.TCP_FORCE)
FINGER = ToolCapsule(
    name="finger",
    group="fingers",
    from_m=(0.0, 0.0, TOOL_Z_M),
    to_m=(0.0, 0.0, TOOL_Z_M),
    radius_m=0.03,
)


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


# --- ties, and answers in full --------------------------------------------------------


def whole(q: Any, was: Any, lim: Any) -> Any:
    return check_joints(was[0], np.array(q, dtype=float), lim[0])


EVEN = {
    "joint_min_rad": np.full(6, -1.0),
    "joint_max_rad": np.full(6, 1.0),
    "joint_speed_radps": np.full(6, 4.0),
    "joint_acceleration_radps2": np.full(6, 64.0),
    "joint_jerk_radps3": np.full(6, 2.0**20),
}
SHORT_S = 2.0**-8


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


def test_far_outside_no_face_is_near() -> None:
    tcp = np.full((3, 4), 50.0)
    lim = limits(workspace_min_m=np.zeros(3), workspace_max_m=np.ones(3))

    found = compute_place_margin(tcp, np.full(3, 90.0), 0.0, lim[0])

    assert found == (1.0, 0)


def test_a_state_of_rest_has_nothing_but_its_place() -> None:
    made = make_state(HOME_Q)[0]

    assert (made["q"] == HOME_Q).all()
    assert (made["item"], made["scale"], made["reason"]) == (-1, 1.0, 0)
    names = ("qd", "qdd", "vetted_ns", "margin", "load", "load_cap", "sigma")
    for key in (*names, "place_m"):
        assert not np.any(made[key]), key


@pytest.mark.parametrize(("now_ns", "noted"), [(0, 5), (-7, 5), (1, 1)])
def test_a_ramp_notes_only_what_is_a_time(now_ns: Any, noted: Any) -> None:
    after = np.full(1, 7, STATE)

    ramp(state(vetted_ns=5)[0], now_ns, limits()[0], after[0])

    assert after[0]["vetted_ns"] == noted


def test_the_last_but_one_step_of_a_ramp_has_a_deceleration() -> None:
    speed = 25.0 * PERIOD_S * 1.05
    now = ramp_from(one(2, speed), NOW_NS - 2 * MS, NOW_NS)

    assert now["qd"][2] == pytest.approx(speed * (1.0 - 1.0 / 1.05))
    assert now["qdd"][2] == pytest.approx(-25.0)


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
