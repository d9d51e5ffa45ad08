"""Each reason to hold, met on its own and at its edge."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_smallest_singular_value
from safety.guard import EnvelopeGuard
from safety.limits import LIMITS, MINIMUM_SINGULAR_VALUE, make_limits
from safety.tool_checks import compute_place_margin
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M, compute_tcp

MS = 1_000_000
START_NS = 1_000 * MS
NO_TIME: Any = None
NO_FORCE = np.zeros(6)
TOOL = Pose(np.array([0.0, 0.0, TOOL_Z_M]), np.array([1.0, 0.0, 0.0, 0.0]))


class Rig:
    """A guard and the clock of its caller."""

    def __init__(self, q: Any = HOME_Q, **changes: Any) -> None:
        config = SAFETY.model_copy(update=changes)
        self.guard = EnvelopeGuard.from_config(config, TOOL, PERIOD_S)
        self.guard.reset(q)
        self.q = np.array(q)
        self.qd = np.zeros(6)
        self.now_ns = START_NS

    def ask(
        self,
        request: Any,
        *,
        command_age_ms: int = 0,
        arm_age_ms: int = 0,
        gap_ms: int = 2,
        force: Any = NO_FORCE,
    ) -> Verdict:
        self.now_ns += gap_ms * MS
        verdict = self.guard.vet(
            request,
            self.now_ns - command_age_ms * MS,
            self.now_ns - arm_age_ms * MS,
            self.now_ns,
            force,
        )
        self.qd = (verdict.q - self.q) / PERIOD_S
        self.q = verdict.q
        return verdict

    def accelerate(self, rate: Any, cycles: int) -> Verdict:
        """Speed up with a joint acceleration [rad/s2], shape (6,)."""
        for _ in range(cycles):
            qd = self.qd + np.array(rate) * PERIOD_S
            verdict = self.ask(self.q + qd * PERIOD_S)
            if verdict.reason:
                return verdict
        return verdict

    def cruise(self, cycles: int) -> Verdict:
        """Go on with the present velocity."""
        for _ in range(cycles):
            verdict = self.ask(self.q + self.qd * PERIOD_S)
            if verdict.reason:
                return verdict
        return verdict


def one_joint(index: int, value: float) -> Vector:
    vector = np.zeros(6)
    vector[index] = value
    return vector


def test_a_request_inside_every_limit_is_granted_unchanged() -> None:
    rig = Rig()
    request = HOME_Q + one_joint(0, 25.0 * 0.9 * PERIOD_S**2)

    verdict = rig.ask(request)

    assert verdict.reason is HoldReason.NONE
    assert (verdict.q == request).all()
    assert 0.0 <= verdict.margin < 1.0


def test_before_any_reset_nothing_is_granted_and_there_is_no_setpoint() -> None:
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)

    for verdict in (
        guard.vet(HOME_Q, 1, 1, 1, NO_FORCE),
        guard.hold(HoldReason.NONE, 1),
    ):
        assert verdict.reason is HoldReason.NOT_ARMED
        assert np.isnan(verdict.q).all()


@pytest.mark.parametrize("measured", [np.full(6, np.nan), np.zeros(5), "x", None])
def test_a_reset_to_nonsense_leaves_the_guard_unarmed(measured: Any) -> None:
    rig = Rig()

    rig.guard.reset(measured)

    assert rig.ask(HOME_Q).reason is HoldReason.NOT_ARMED


@pytest.mark.parametrize(
    "request_q",
    [
        np.full(6, np.nan),
        HOME_Q + one_joint(5, np.inf),
        HOME_Q - one_joint(0, np.inf),
        np.zeros(7),
        np.zeros((1, 6)),
        [],
        None,
        "home",
        [object()] * 6,
    ],
    ids=lambda request_q: type(request_q).__name__,
)
def test_what_is_no_finite_joint_position_is_refused(request_q: Any) -> None:
    rig = Rig()

    verdict = rig.ask(request_q)

    assert verdict.reason is HoldReason.COMMAND_NOT_FINITE
    assert (verdict.q == HOME_Q).all()


@pytest.mark.parametrize("form", [list, tuple, np.float32])
def test_other_forms_of_the_same_numbers_are_accepted(form: Any) -> None:
    rig = Rig(q=np.array([-2.25, -1.5, 1.5, -1.5, -1.5, -0.75]))

    request = rig.q.astype(form) if form is np.float32 else form(rig.q)

    assert rig.ask(request).reason is HoldReason.NONE


def test_a_command_is_fresh_up_to_its_limit_and_stale_beyond() -> None:
    assert Rig().ask(HOME_Q, command_age_ms=100).reason is HoldReason.NONE
    assert Rig().ask(HOME_Q, command_age_ms=101).reason is HoldReason.COMMAND_STALE


def test_an_arm_sample_is_fresh_up_to_its_limit_and_stale_beyond() -> None:
    assert Rig().ask(HOME_Q, arm_age_ms=50).reason is HoldReason.NONE
    assert Rig().ask(HOME_Q, arm_age_ms=51).reason is HoldReason.ARM_STATE_STALE


def test_stamps_from_the_future_and_stamps_of_nothing_are_stale() -> None:
    for age_ms in (-11, START_NS // MS + 2):
        verdict = Rig().ask(HOME_Q, command_age_ms=age_ms)
        assert verdict.reason is HoldReason.COMMAND_STALE
        verdict = Rig().ask(HOME_Q, arm_age_ms=age_ms)
        assert verdict.reason is HoldReason.ARM_STATE_STALE
    assert Rig().ask(HOME_Q, command_age_ms=-5, arm_age_ms=-5).reason is HoldReason.NONE


@pytest.mark.parametrize("stamp", [None, "now", 2**80, float("nan"), -(2**63) - 1])
def test_a_stamp_that_is_no_stamp_holds(stamp: Any) -> None:
    rig = Rig()

    verdict = rig.guard.vet(HOME_Q + 0.001, stamp, START_NS, START_NS, NO_FORCE)

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert (verdict.q == HOME_Q).all()


def test_a_present_time_before_all_time_holds() -> None:
    rig = Rig()

    verdict = rig.guard.vet(HOME_Q, 2**63 - 1, START_NS, -(2**63), NO_FORCE)

    assert verdict.reason is HoldReason.COMMAND_STALE


def test_an_unusable_present_time_holds_at_the_last_setpoint() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 20)
    last = rig.q

    verdict = rig.guard.vet(rig.q, START_NS, START_NS, NO_TIME, NO_FORCE)

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert (verdict.q == last).all()


def test_a_joint_beyond_its_position_limit_is_refused() -> None:
    rig = Rig(joint_max_rad=(*HOME_Q[:3], HOME_Q[3] + 0.001, 6.2, 6.2))

    verdict = rig.ask(HOME_Q + one_joint(3, 0.002))

    assert verdict.reason is HoldReason.JOINT_POSITION
    assert verdict.margin < 0.0
    assert verdict.value == pytest.approx(HOME_Q[3] + 0.002)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_joint_that_could_not_stop_before_its_limit_is_refused_in_time(
    sign: Any,
) -> None:
    near = HOME_Q[5] + sign * 0.12
    limits = {"joint_max_rad": (6.2, 0.0, 2.9, 6.2, 6.2, max(near, HOME_Q[5] + 0.1))}
    limits["joint_min_rad"] = (
        -6.2,
        -3.14,
        -2.9,
        -6.2,
        -6.2,
        min(near, HOME_Q[5] - 0.1),
    )
    rig = Rig(**limits)
    rig.accelerate(one_joint(5, sign * 20.0), 40)

    refused = rig.cruise(200)
    assert refused.reason is HoldReason.JOINT_POSITION
    while rig.qd.any():
        rig.ask(rig.q)

    assert abs(rig.q[5] - HOME_Q[5]) <= 0.12
    assert abs(rig.q[5] - HOME_Q[5]) > 0.09


def test_speed_is_granted_up_to_the_limit_and_refused_beyond() -> None:
    speeds = (3.0, 3.0, 3.0, 3.0, 3.0, 0.5)
    rig = Rig(joint_speed_radps=speeds)
    assert rig.accelerate(one_joint(5, 10.0), 25).reason is HoldReason.NONE

    verdict = rig.ask(rig.q + one_joint(5, 0.501 * PERIOD_S))

    assert verdict.reason is HoldReason.JOINT_SPEED
    assert verdict.value == pytest.approx(0.501)
    assert verdict.margin == pytest.approx(-0.002, rel=1e-3)


def test_acceleration_is_granted_up_to_the_limit_and_refused_beyond() -> None:
    granted = Rig().ask(HOME_Q + one_joint(5, 25.0 * PERIOD_S**2))
    refused = Rig().ask(HOME_Q + one_joint(5, 25.1 * PERIOD_S**2))

    assert granted.reason is HoldReason.NONE
    assert refused.reason is HoldReason.JOINT_ACCELERATION
    assert refused.value == pytest.approx(25.1, rel=1e-6)


def test_the_tool_may_not_be_faster_than_its_limit() -> None:
    rig = Rig(tcp_speed_mps=0.3)

    verdict = rig.accelerate(one_joint(0, 10.0), 200)

    assert verdict.reason is HoldReason.TCP_SPEED
    assert 0.28 < verdict.value < 0.32


def test_a_tool_step_alone_can_be_too_fast() -> None:
    # So much acceleration that one cycle reaches the speed.
    rig = Rig(tcp_speed_mps=0.03)

    verdict = rig.ask(HOME_Q + one_joint(0, 24.0 * PERIOD_S**2))
    assert verdict.reason is HoldReason.NONE
    verdict = rig.ask(rig.q + one_joint(0, 2 * 24.0 * PERIOD_S**2))

    assert verdict.reason is HoldReason.TCP_SPEED


def test_tool_speed_that_grows_while_braking_is_refused_before() -> None:
    # The arm swings out: the tool gets faster at the same joint speed.
    folded = np.array([-2.28, -1.0, 2.6, -3.1, -1.57, -0.7])
    low = {"workspace_min_m": (-0.9, -0.9, -0.9), "workspace_max_m": (0.9, 0.9, 0.9)}
    rig = Rig(q=folded, tcp_speed_mps=0.6, **low)

    verdict = rig.accelerate(np.array([0.0, 0.0, -24.0, 0.0, 0.0, 0.0]), 200)

    assert verdict.reason is HoldReason.TCP_SPEED


def test_the_tool_stops_inside_the_workspace() -> None:
    place = compute_tcp(HOME_Q)
    rig = Rig(workspace_max_m=(0.50, 0.80, place[2] + 0.03))

    verdict = rig.accelerate(np.array([0.0, -10.0, 0.0, 10.0, 0.0, 0.0]), 200)
    assert verdict.reason is HoldReason.WORKSPACE
    while rig.qd.any():
        rig.ask(rig.q)

    assert compute_tcp(rig.q)[2] <= place[2] + 0.03
    assert compute_tcp(rig.q)[2] > place[2] + 0.01


def test_a_single_step_out_of_the_workspace_is_refused() -> None:
    place = compute_tcp(HOME_Q)
    rig = Rig(workspace_max_m=(0.50, 0.80, place[2] + 1e-6))

    verdict = rig.ask(HOME_Q + one_joint(1, -24.0 * PERIOD_S**2))

    assert verdict.reason is HoldReason.WORKSPACE
    assert verdict.value == pytest.approx(place[2], abs=1e-3)


def test_an_arm_found_outside_may_come_back_but_go_no_further() -> None:
    place = compute_tcp(HOME_Q)
    outside = {"workspace_max_m": (0.50, 0.80, place[2] - 0.05)}

    away = Rig(**outside).ask(HOME_Q + one_joint(1, -20.0 * PERIOD_S**2))
    back = Rig(**outside).ask(HOME_Q + one_joint(1, 20.0 * PERIOD_S**2))
    rest = Rig(**outside).ask(HOME_Q)

    assert away.reason is HoldReason.WORKSPACE
    assert back.reason is HoldReason.NONE
    assert rest.reason is HoldReason.NONE


def test_a_joint_found_outside_may_come_back_but_go_no_further() -> None:
    outside = {"joint_max_rad": (6.2, 0.0, 2.9, 6.2, 6.2, HOME_Q[5] - 0.1)}

    away = Rig(**outside).ask(HOME_Q + one_joint(5, 20.0 * PERIOD_S**2))
    back = Rig(**outside).ask(HOME_Q - one_joint(5, 20.0 * PERIOD_S**2))

    assert away.reason is HoldReason.JOINT_POSITION
    assert back.reason is HoldReason.NONE


def test_motion_into_a_singularity_is_refused_and_out_of_it_granted() -> None:
    # With the wrist almost straight the roll axes nearly coincide.
    wrist = HOME_Q.copy()
    wrist[4] = -0.30
    rig = Rig(q=wrist)

    verdict = rig.accelerate(one_joint(4, 5.0), 300)

    assert verdict.reason is HoldReason.SINGULAR
    assert verdict.value < 0.08
    inside = HOME_Q.copy()
    inside[4] = -0.05
    step = one_joint(4, 20.0 * PERIOD_S**2)
    assert Rig(q=inside).ask(inside).reason is HoldReason.NONE
    assert Rig(q=inside).ask(inside - step).reason is HoldReason.NONE
    assert Rig(q=inside).ask(inside + step).reason is HoldReason.SINGULAR


def test_setpoints_missed_while_moving_end_the_motion_smoothly() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 40)
    fast = rig.qd[0]
    assert rig.ask(rig.q + rig.qd * PERIOD_S, gap_ms=6).reason is HoldReason.NONE

    verdict = rig.ask(rig.q + rig.qd * PERIOD_S, gap_ms=7)

    assert verdict.reason is HoldReason.CYCLE_OVERRUN
    assert verdict.value == pytest.approx(0.007)
    assert 0.0 < rig.qd[0] == pytest.approx(fast - 25.0 * PERIOD_S)


def test_after_a_long_silence_the_arm_stays_where_its_last_setpoint_was() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 40)
    last = rig.q

    verdict = rig.ask(rig.q + rig.qd * PERIOD_S, gap_ms=60)

    assert verdict.reason is HoldReason.CYCLE_OVERRUN
    assert (verdict.q == last).all()


def test_a_clock_that_goes_backwards_ends_the_motion() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 40)

    verdict = rig.ask(rig.q + rig.qd * PERIOD_S, gap_ms=-3)

    assert verdict.reason is HoldReason.CYCLE_OVERRUN


def test_at_rest_a_missed_cycle_means_nothing() -> None:
    assert Rig().ask(HOME_Q, gap_ms=500).reason is HoldReason.NONE


def test_a_ramp_once_begun_runs_to_its_end_whatever_is_asked() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 40)
    rig.ask(rig.q, command_age_ms=150)

    reasons = set()
    while rig.qd.any():
        reasons.add(rig.ask(rig.q + rig.qd * PERIOD_S).reason)

    assert reasons == {HoldReason.COMMAND_STALE}
    assert rig.ask(rig.q).reason is HoldReason.NONE


def test_the_ramp_keeps_the_direction_and_the_permitted_deceleration() -> None:
    rig = Rig()
    rig.accelerate(np.array([20.0, 0.0, 5.0, 0.0, 0.0, -10.0]), 40)
    before = rig.qd

    rig.ask(np.full(6, np.nan))

    assert np.allclose(rig.qd / rig.qd[0], before / before[0])
    assert before[0] - rig.qd[0] == pytest.approx(25.0 * PERIOD_S)


def test_a_hold_from_outside_ramps_and_names_its_reason() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 40)

    verdict = rig.guard.hold(HoldReason.TRACKING_ERROR, rig.now_ns + 2 * MS)

    assert verdict.reason is HoldReason.TRACKING_ERROR
    assert verdict.q[0] > rig.q[0]
    assert verdict.margin < 0.0


def test_a_verdict_is_a_copy_that_nobody_can_change() -> None:
    rig = Rig()
    verdict = rig.ask(HOME_Q)

    verdict.q[:] = 99.0

    assert (rig.ask(HOME_Q).q == HOME_Q).all()


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("field", ["q", "qd"])
def test_a_vetted_state_that_is_no_number_grants_nothing(
    field: str, joint: int
) -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 10)
    rig.guard._state[field][0, joint] = np.nan

    verdict = rig.ask(rig.q + rig.qd * PERIOD_S)

    assert verdict.reason is not HoldReason.NONE


def name_float_limits() -> list[str]:
    fields = (LIMITS.fields or {}).items()
    named = [name for name, (kind, *_) in fields if kind.base.kind == "f"]
    # A straight comparison of two singular values needs no limit.
    return [name for name in named if name != "singular_value"]


@pytest.mark.parametrize("name", name_float_limits())
def test_a_limit_that_is_no_number_grants_nothing(name: str) -> None:
    rig = Rig()
    rig.guard._limits[name] = np.nan

    assert rig.ask(HOME_Q + 1e-6).reason is not HoldReason.NONE


def test_jerk_is_granted_up_to_the_limit_and_refused_beyond() -> None:
    limits = {"joint_jerk_radps3": (2000.0,) * 6}
    granted = Rig(**limits).ask(HOME_Q + one_joint(5, 2000.0 * PERIOD_S**3))
    refused = Rig(**limits).ask(HOME_Q + one_joint(5, 2010.0 * PERIOD_S**3))

    assert granted.reason is HoldReason.NONE
    assert refused.reason is HoldReason.JOINT_JERK
    assert refused.value == pytest.approx(2010.0, rel=1e-4)


def test_jerk_is_judged_against_the_acceleration_before() -> None:
    rig = Rig(joint_jerk_radps3=(6000.0,) * 6)
    assert rig.accelerate(one_joint(5, 10.0), 5).reason is HoldReason.NONE

    # From 10 to -10 rad/s2 in one cycle.
    verdict = rig.ask(rig.q + (rig.qd - one_joint(5, 10.0 * PERIOD_S)) * PERIOD_S)

    assert verdict.reason is HoldReason.JOINT_JERK


def test_after_a_ramp_motion_starts_without_a_memory_of_it() -> None:
    rig = Rig(joint_jerk_radps3=(6000.0,) * 6)
    rig.accelerate(one_joint(5, 10.0), 5)
    rig.ask(None)
    while rig.qd.any():
        rig.ask(rig.q)

    assert rig.accelerate(one_joint(5, 11.0), 1).reason is HoldReason.NONE


@pytest.mark.parametrize(
    ("request_q", "words"),
    [
        (HOME_Q + one_joint(3, np.nan), "command_not_finite of joint 3"),
        (HOME_Q + one_joint(2, 25.1 * PERIOD_S**2), "joint_acceleration of joint 2"),
        (HOME_Q + one_joint(1, 9.0), "joint_position of joint 1"),
    ],
)
def test_a_refusal_is_described_with_its_joint(request_q: Any, words: str) -> None:
    rig = Rig()

    assert words in rig.guard.describe(rig.ask(request_q))


def test_a_refusal_is_described_with_its_axis_or_by_its_name() -> None:
    rig = Rig(workspace_max_m=(0.5, 0.8, float(compute_tcp(HOME_Q)[2])))
    verdict = rig.accelerate(one_joint(1, -20.0), 10)

    assert "workspace along z" in rig.guard.describe(verdict)
    held = rig.guard.hold(HoldReason.TRACKING_ERROR, rig.now_ns)
    assert rig.guard.describe(held) == "tracking_error: 0"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_joint_is_slowed_down_towards_its_limit_and_not_away_from_it(
    sign: float,
) -> None:
    near = HOME_Q[5] + sign * 0.03
    limits = {
        "joint_max_rad": (6.2, 0.0, 2.9, 6.2, 6.2, max(near, HOME_Q[5] + 0.02)),
        "joint_min_rad": (-6.2, -3.14, -2.9, -6.2, -6.2, min(near, HOME_Q[5] - 0.02)),
    }
    towards = Rig(**limits).accelerate(one_joint(5, sign * 20.0), 1)
    away = Rig(**limits).accelerate(one_joint(4, 20.0), 1)

    assert towards.scale < 0.7
    assert away.scale == 1.0


@pytest.mark.parametrize("axis", range(3))
def test_a_place_that_is_no_number_has_no_margin_on_any_axis(axis: int) -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)
    tcp = np.eye(3, 4)
    tcp[:, 3] = compute_tcp(HOME_Q)
    start = tcp[:, 3].copy()
    tcp[axis, 3] = np.nan

    margin, found = compute_place_margin(tcp, start, 0.0, limits[0])

    assert np.isnan(margin)
    assert found == axis


def test_a_time_before_all_time_is_not_remembered_as_the_last_cycle() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 20)
    rig.guard.vet(rig.q, START_NS, START_NS, -5, NO_FORCE)

    # Long after that, the robot has come to rest at the last setpoint.
    verdict = rig.guard.hold(HoldReason.TRACKING_ERROR, rig.now_ns + 500 * MS)
    settled = rig.guard.hold(HoldReason.TRACKING_ERROR, rig.now_ns + 502 * MS)

    assert (settled.q == verdict.q).all()


@pytest.mark.parametrize("rate_radps2", [1.0, 5.0, 15.0])
@pytest.mark.parametrize(("start_rad", "sign"), [(-1.2, 1.0), (1.2, -1.0)])
def test_the_ramp_to_rest_ends_above_the_least_singular_value(
    rate_radps2: float, start_rad: float, sign: float
) -> None:
    q = np.array(HOME_Q)
    q[4] = start_rad
    rig = Rig(q)

    verdict = rig.accelerate(one_joint(4, sign * rate_radps2), 60)
    while verdict.reason is HoldReason.NONE:
        verdict = rig.cruise(1)
    while rig.qd.any():
        rig.ask(rig.q)
        assert compute_smallest_singular_value(rig.q, TOOL) >= MINIMUM_SINGULAR_VALUE

    assert verdict.reason is HoldReason.SINGULAR
    # It does not give up long before.
    assert compute_smallest_singular_value(rig.q, TOOL) < 0.1


def test_a_refusal_for_the_ramp_names_the_singular_value_there() -> None:
    q = np.array(HOME_Q)
    q[4] = -1.2
    rig = Rig(q)
    rig.accelerate(one_joint(4, 15.0), 60)

    verdict = rig.cruise(2000)

    at_request = compute_smallest_singular_value(rig.q, TOOL)
    assert verdict.value < MINIMUM_SINGULAR_VALUE < at_request
    assert verdict.margin < 0.0


def test_out_of_a_singular_place_the_arm_may_move_and_stop_short_of_its_edge() -> None:
    q = np.array(HOME_Q)
    q[4] = -0.05
    rig = Rig(q)
    before = compute_smallest_singular_value(rig.q, TOOL)

    verdict = rig.accelerate(one_joint(4, -1.0), 30)

    assert verdict.reason is HoldReason.NONE
    assert before < compute_smallest_singular_value(rig.q, TOOL)
    assert rig.accelerate(one_joint(4, 10.0), 60).reason is HoldReason.SINGULAR


def test_along_a_face_speed_ends_where_the_bulge_of_braking_would_reach_it() -> None:
    height_m = float(compute_tcp(HOME_Q)[2])
    top_m = (*SAFETY.workspace_max_m[:2], height_m + 5e-5)
    rig = Rig(workspace_max_m=top_m)

    verdict = rig.accelerate(one_joint(0, 20.0), 100)

    assert verdict.reason is HoldReason.WORKSPACE
    assert verdict.item == 2
    assert rig.qd[0] > 0.5
