"""Actions and poses reach the guard projected, or make it hold."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_base_from_tcp
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection_limits import make_projection_limits
from safety.requests import ProjectedRequests
from safety.zones import BoxZone
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, find_breaches
from tests.fakes.projection_cases import TOOL

PERIOD_NS = 2_000_000
REST = np.zeros(6)


class Rig:
    """Requests to a real guard, and the clock of their caller."""

    def __init__(self, q: Any = HOME_Q) -> None:
        limits = make_limits(SAFETY, TOOL, PERIOD_S)
        self.requests = ProjectedRequests(
            EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S),
            make_projection_limits(limits),
        )
        self.requests.reset(q)
        self.now_ns = 10**9
        self.path = [np.array(q)]

    def act(self, action: Any) -> Verdict:
        self.now_ns += PERIOD_NS
        now_ns = self.now_ns
        return self.keep(self.requests.vet_action(action, now_ns, now_ns, now_ns, REST))

    def go(self, pose: Any) -> Verdict:
        self.now_ns += PERIOD_NS
        now_ns = self.now_ns
        return self.keep(self.requests.vet_pose(pose, now_ns, now_ns, now_ns, REST))

    def keep(self, verdict: Verdict) -> Verdict:
        self.path.append(verdict.q)
        return verdict

    def find_breaches(self) -> list[Any]:
        return find_breaches(np.array(self.path))


def one_joint(index: int, value: float) -> Vector:
    vector = np.zeros(6)
    vector[index] = value
    return vector


def test_a_jump_of_the_action_becomes_motion_that_the_guard_grants() -> None:
    rig = Rig()

    reasons = {rig.act(one_joint(5, 0.5)).reason for _ in range(100)}
    reasons |= {rig.act(one_joint(5, -0.5)).reason for _ in range(100)}

    assert reasons == {HoldReason.NONE}
    assert rig.find_breaches() == []
    assert max(q[5] for q in rig.path) > HOME_Q[5] + 0.1
    assert rig.path[-1][5] - rig.path[-2][5] == pytest.approx(-0.5 * 3.0 * PERIOD_S)


def test_a_pose_is_approached_and_rested_at() -> None:
    rig = Rig()
    target = compute_base_from_tcp(HOME_Q + np.array([0.2, 0.1, 0, 0, 0, 0.3]), TOOL)

    reasons = {rig.go(target).reason for _ in range(300)}

    reached = compute_base_from_tcp(rig.path[-1], TOOL)
    assert reasons == {HoldReason.NONE}
    assert rig.find_breaches() == []
    assert np.linalg.norm(reached.position_m - target.position_m) < 1e-4
    assert np.abs(rig.path[-1] - rig.path[-2]).max() < 1e-8


def test_what_became_of_a_wish_can_be_looked_at() -> None:
    rig = Rig()

    rig.act(one_joint(2, 1.0))

    answer = rig.requests.projection[0]
    assert answer["narrowed_by"] == HoldReason.JOINT_ACCELERATION
    assert answer["joint"] == 2


def test_a_pose_out_of_reach_ramps_to_rest_with_its_reason_margin_and_value() -> None:
    rig = Rig()
    for _ in range(30):
        rig.act(one_joint(5, 0.5))
    before = rig.path[-1]

    verdict = rig.go(Pose.from_rotvec([2.0, 0.0, 0.0], [0.0, 0.0, 0.0]))

    assert verdict.reason is HoldReason.UNREACHABLE
    assert verdict.margin < 0.0
    assert verdict.value > 1.0
    assert verdict.q[5] > before[5]
    assert rig.find_breaches() == []


def test_after_a_refusal_motion_starts_anew_from_rest() -> None:
    rig = Rig()
    for _ in range(30):
        rig.act(one_joint(5, 0.5))
    rig.act(np.full(6, np.nan))
    while (rig.path[-1] != rig.path[-2]).any():
        rig.act(one_joint(5, 0.5))

    verdict = rig.act(one_joint(5, 0.5))

    assert verdict.reason is HoldReason.NONE
    assert verdict.q[5] - rig.path[-2][5] == pytest.approx(25.0 * PERIOD_S**2)
    assert rig.find_breaches() == []


@pytest.mark.parametrize(
    "action", [None, "left", np.zeros(5), np.full(6, np.nan), [object()] * 6]
)
def test_what_is_no_action_holds(action: Any) -> None:
    rig = Rig()

    verdict = rig.act(action)

    assert verdict.reason is HoldReason.COMMAND_NOT_FINITE
    assert (verdict.q == HOME_Q).all()


@pytest.mark.parametrize(
    "pose",
    [
        None,
        np.eye(4),
        Pose(np.zeros(3), np.zeros(4)),
        Pose(np.zeros(2), np.array([1.0, 0.0, 0.0, 0.0])),
        Pose(np.array([np.nan, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0])),
    ],
)
def test_what_is_no_pose_holds(pose: Any) -> None:
    rig = Rig()

    verdict = rig.go(pose)

    assert verdict.reason is HoldReason.COMMAND_NOT_FINITE
    assert (verdict.q == HOME_Q).all()


class Treacherous:
    """Says that it is an array, until somebody looks."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no")


def test_any_exception_holds() -> None:
    verdict = Rig().act(Treacherous())

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert (verdict.q == HOME_Q).all()


def test_stale_commands_are_the_guards_business() -> None:
    rig = Rig()
    stale_ns = rig.now_ns - 200_000_000

    verdict = rig.requests.vet_action(REST, stale_ns, rig.now_ns, rig.now_ns, REST)

    assert verdict.reason is HoldReason.COMMAND_STALE


@pytest.mark.parametrize("measured", [np.full(6, np.nan), np.zeros(5), None])
def test_without_a_known_position_nothing_is_granted(measured: Any) -> None:
    rig = Rig()

    rig.requests.reset(measured)

    for verdict in (rig.act(REST), rig.go(Pose.identity())):
        assert verdict.reason is HoldReason.NOT_ARMED
        assert np.isnan(verdict.q).all()


def test_a_hold_from_outside_is_followed() -> None:
    rig = Rig()
    for _ in range(30):
        rig.act(one_joint(5, 0.5))
    rig.now_ns += PERIOD_NS

    verdict = rig.keep(rig.requests.hold(HoldReason.TRACKING_ERROR, rig.now_ns))
    while (rig.path[-1] != rig.path[-2]).any():
        rig.act(one_joint(5, 0.5))

    assert verdict.reason is HoldReason.TRACKING_ERROR
    assert rig.act(one_joint(5, 0.5)).reason is HoldReason.NONE
    assert rig.find_breaches() == []


def test_a_joint_goes_to_its_limit_and_stays_there() -> None:
    rig = Rig(q=HOME_Q + one_joint(5, 6.0))

    reasons = {rig.act(one_joint(5, 1.0)).reason for _ in range(600)}

    assert reasons == {HoldReason.NONE}
    assert rig.find_breaches() == []
    assert rig.path[-1][5] == pytest.approx(6.2, abs=1e-3)


def test_joint_requests_go_straight_to_the_guard() -> None:
    rig = Rig()
    now_ns = rig.now_ns + PERIOD_NS

    good = rig.requests.vet(HOME_Q + 1e-5, now_ns, now_ns, now_ns, REST)
    bad = rig.requests.vet(HOME_Q + 0.1, now_ns + PERIOD_NS, now_ns, now_ns, REST)

    assert good.reason is HoldReason.NONE
    assert (good.q == HOME_Q + 1e-5).all()
    assert bad.reason is HoldReason.JOINT_SPEED
    assert rig.requests.describe(bad).startswith("joint_speed of joint 0")


def test_a_part_in_the_fingers_is_made_known_to_the_guard() -> None:
    rack = BoxZone(
        name="rack",
        keeps_out=("part",),
        centre_m=tuple(compute_base_from_tcp(HOME_Q, TOOL).position_m.tolist()),
        half_m=(0.02, 0.02, 0.02),
    )
    config = SAFETY.model_copy(update={"zones": (rack,)})
    guard = EnvelopeGuard.from_config(config, TOOL, PERIOD_S)
    limits = make_projection_limits(make_limits(config, TOOL, PERIOD_S))
    requests = ProjectedRequests(guard, limits)
    requests.reset(HOME_Q)
    deeper = HOME_Q - np.array([0.0, 1e-5, 0.0, 0.0, 0.0, 0.0])

    without = requests.vet(deeper, 10**9, 10**9, 10**9, REST)
    requests.reset(HOME_Q)
    requests.attach(0.03, 0.04)
    with_part = [
        requests.vet(HOME_Q + sign * 1e-5, 10**9, 10**9, 10**9, REST).reason
        for sign in (1.0, -1.0)
    ]

    assert without.reason is HoldReason.NONE
    assert HoldReason.KEEP_OUT_ZONE in with_part


@pytest.mark.parametrize(
    ("ratio", "share"),
    [(1.0, 1.0), (0.4, 0.4), (7.0, 1.0), (0.0, 0.01), (-1.0, 0.01), (np.nan, 0.01)],
)
def test_less_speed_is_come_to_gradually(ratio: float, share: float) -> None:
    rig = Rig()
    reasons = set()

    for _ in range(300):
        rig.requests.slow_down(1.0)
        reasons.add(rig.act(one_joint(5, 1.0)).reason)
    for _ in range(600):
        rig.requests.slow_down(ratio)
        reasons.add(rig.act(one_joint(5, 1.0)).reason)

    speed = (rig.path[-1][5] - rig.path[-2][5]) / PERIOD_S
    assert reasons == {HoldReason.NONE}
    assert speed == pytest.approx(3.0 * share, rel=1e-6)
    assert rig.find_breaches() == []


def test_from_rest_less_speed_is_kept_to_from_the_first_cycle() -> None:
    rig = Rig()

    for _ in range(300):
        rig.requests.slow_down(0.1)
        rig.act(one_joint(5, 1.0))

    path = np.array([q[5] for q in rig.path])
    assert np.diff(path).max() / PERIOD_S == pytest.approx(0.3, rel=1e-6)
    assert rig.find_breaches() == []


def test_speed_comes_back_after_it_was_less() -> None:
    rig = Rig()
    for _ in range(600):
        rig.requests.slow_down(0.1)
        rig.act(one_joint(5, 1.0))

    for _ in range(600):
        rig.requests.slow_down(1.0)
        rig.act(one_joint(5, 1.0))

    speed = (rig.path[-1][5] - rig.path[-2][5]) / PERIOD_S
    assert speed == pytest.approx(3.0, rel=1e-6)
    assert rig.find_breaches() == []
