"""What stands between wishes and the guard: states kept, calls made, in full."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety import requests
from safety.projection import PROJECTION
from safety.requests import ProjectedRequests
from tests.fakes.motion_oracle import HOME_Q
from tests.fakes.projection_cases import make_packed

NO_FORCE = np.zeros(6)
STAMPS = (11, 22, 33)


class Guard:
    """Grants whatever it is asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.held: list[tuple[Any, int]] = []
        self.parts: list[tuple[float, float]] = []
        self.q = np.full(6, np.nan)
        self.qd, self.qdd = np.zeros(6), np.zeros(6)
        self.own_cause: HoldReason | None = None

    def reset(self, q_measured: Any) -> None:
        self.q = np.array(q_measured)

    def read_motion(self) -> tuple[Any, Any, Any]:
        return self.q, self.qd, self.qdd

    def attach(self, radius_m: float, length_m: float) -> None:
        self.parts.append((radius_m, length_m))

    def describe(self, verdict: Verdict) -> str:
        return f"told of {verdict.reason.name}"

    def vet(self, q: Any, *stamps_and_force: Any) -> Verdict:
        self.asked.append((q, *stamps_and_force))
        self.q = q
        return Verdict(q, HoldReason.NONE, HoldReason.NONE, 0.5, 0.0)

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        self.held.append((reason, now_ns))
        cause = self.own_cause or reason
        return Verdict(self.q.copy(), cause, cause, -1.0, 0.0)


class Kernels:
    """Stand in for the projection: answer with the wish, and remember the call."""

    def __init__(self, monkeypatch: Any) -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self.reason = 0
        for name in ("project_increment", "project_towards", "project_pose"):
            monkeypatch.setattr(requests, name, self._make(name))

    def _make(self, name: str) -> Any:
        def kernel(*arguments: Any) -> None:
            *given, _, out = arguments
            self.calls.append((name, [np.array(value) for value in given]))
            out["reason"], out["margin"], out["value"] = self.reason, -0.25, 4.5
            out["joint"] = 3
            if name != "project_pose":
                out["q"] = given[3]

        return kernel


@pytest.fixture
def kernels(monkeypatch: Any) -> Kernels:
    return Kernels(monkeypatch)


def make() -> tuple[ProjectedRequests, Guard]:
    guard: Any = Guard()
    made = ProjectedRequests(guard, make_packed())
    made.reset(HOME_Q)
    return made, guard


def test_a_new_one_compiles_its_kernels_from_rest(kernels: Kernels) -> None:
    make()

    names = [name for name, _ in kernels.calls]
    assert names == ["project_increment", "project_towards", "project_pose"]
    for name, given in kernels.calls:
        shapes = [value.shape for value in given]
        wanted = [(6,), (3, 4)] if name == "project_pose" else [(6,)] * 4
        assert shapes == wanted
        assert not given[0].any()
    assert np.array_equal(kernels.calls[2][1][1], np.eye(3, 4))


def test_before_a_reset_there_is_nowhere_to_start_from() -> None:
    guard: Any = Guard()
    made = ProjectedRequests(guard, make_packed())

    made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert made.projection.shape == (1,)
    assert made.projection.dtype == PROJECTION
    assert made.projection["reason"][0] == HoldReason.COMMAND_NOT_FINITE
    assert guard.held == [(HoldReason.COMMAND_NOT_FINITE, 33)]


def test_a_wish_starts_from_the_motion_of_the_guard(kernels: Kernels) -> None:
    made, guard = make()
    guard.qd, guard.qdd = np.full(6, 0.25), np.full(6, 0.5)
    kernels.calls.clear()

    made.vet_action(HOME_Q + 1e-3, *STAMPS, NO_FORCE)
    made.vet_pose(Pose.identity(), *STAMPS, NO_FORCE)

    increment, pose, towards = (given for _, given in kernels.calls)
    for motion in (increment, towards):
        assert [part[0] for part in motion[1:3]] == [0.25, 0.5]
    assert (increment[0] == HOME_Q).all()
    assert (increment[3] == HOME_Q + 1e-3).all()
    assert (pose[0] == towards[0]).all()
    assert (pose[1] == np.eye(4)[:3]).all()
    # What the pose came to is what is gone towards.
    assert (towards[3] == HOME_Q + 1e-3).all()
    assert guard.asked[0][1:4] == STAMPS
    assert (guard.asked[0][0] == HOME_Q + 1e-3).all()
    assert guard.asked[0][4] is NO_FORCE


def test_everything_else_is_asked_of_the_guard() -> None:
    made, guard = make()

    made.attach(0.03, 0.1)
    asked = made.vet(HOME_Q, *STAMPS, NO_FORCE)
    held = made.hold(HoldReason.LINK_LOST, 44)

    assert guard.parts == [(0.03, 0.1)]
    assert guard.asked == [(HOME_Q, *STAMPS, NO_FORCE)]
    assert asked.reason is HoldReason.NONE
    assert guard.held == [(HoldReason.LINK_LOST, 44)]
    assert made.describe(held) == "told of LINK_LOST"


def speed_of(made: ProjectedRequests) -> float:
    limits = made._limits[0]
    ratio = limits["joint_speed_radps"] / make_packed()[0]["joint_speed_radps"]
    assert np.ptp(ratio) < 1e-12
    whole = make_packed()[0]["increment_rad"] * ratio[0]
    assert limits["increment_rad"] == pytest.approx(whole, rel=1e-9)
    return float(ratio[0])


def test_in_motion_speed_changes_by_two_thousandths_a_cycle() -> None:
    made, guard = make()
    guard.qd = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -1e-6])
    assert (requests.LEAST_RATIO, requests.RATIO_PER_CYCLE) == (0.01, 0.002)

    made.slow_down(0.5)
    first = speed_of(made)
    for _ in range(400):
        made.slow_down(0.5)
    slow = speed_of(made)
    made.slow_down(1.0)

    assert first == pytest.approx(0.998, rel=1e-12)
    assert slow == pytest.approx(0.5, rel=1e-12)
    assert speed_of(made) == pytest.approx(0.502, rel=1e-12)


def test_at_rest_the_speed_is_the_wanted_one_at_once() -> None:
    made, _ = make()

    made.slow_down(0.1)
    slow = speed_of(made)
    made.slow_down(0.9)

    assert slow == pytest.approx(0.1, rel=1e-12)
    assert speed_of(made) == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize(
    ("ratio", "wanted"),
    [(2.0, 1.0), (0.01, 0.01), (0.0099, 0.01), (-1.0, 0.01), (float("nan"), 0.01)],
)
def test_speed_has_its_bounds(ratio: Any, wanted: Any) -> None:
    made, _ = make()

    for _ in range(600):
        made.slow_down(ratio)

    assert speed_of(made) == pytest.approx(wanted, rel=1e-9)


def test_a_refused_wish_holds_now_with_its_own_numbers(kernels: Kernels) -> None:
    made, guard = make()
    kernels.reason = int(HoldReason.UNREACHABLE)

    verdict = made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert guard.held == [(HoldReason.UNREACHABLE, 33)]
    assert verdict.reason is verdict.limit is HoldReason.UNREACHABLE
    assert (verdict.margin, verdict.value, verdict.item) == (-0.25, 4.5, 3)
    assert guard.asked == []


def test_a_cause_of_the_guard_keeps_its_own_numbers(kernels: Kernels) -> None:
    made, guard = make()
    kernels.reason = int(HoldReason.UNREACHABLE)
    guard.own_cause = HoldReason.GUARD_EXCEPTION

    verdict = made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert guard.held == [(HoldReason.UNREACHABLE, 33)]
    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert (verdict.margin, verdict.value, verdict.item) == (-1.0, 0.0, -1)


def test_a_pose_that_is_refused_is_not_gone_towards(kernels: Kernels) -> None:
    made, _ = make()
    kernels.calls.clear()
    kernels.reason = int(HoldReason.SINGULAR)

    made.vet_pose(Pose.identity(), *STAMPS, NO_FORCE)

    assert [name for name, _ in kernels.calls] == ["project_pose"]


def test_a_kernel_that_fails_holds_now(monkeypatch: Any, kernels: Kernels) -> None:
    made, guard = make()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(requests, "project_increment", fail)

    verdict = made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert verdict.reason is HoldReason.GUARD_EXCEPTION
    assert guard.held == [(HoldReason.GUARD_EXCEPTION, 33)]


@pytest.mark.parametrize("odd", [None, "six", np.zeros(7), np.zeros((2, 3)), [1, [2]]])
def test_anything_odd_becomes_six_numbers_that_are_none(odd: Any) -> None:
    found = requests._vector_of(odd)

    assert found.shape == (6,)
    assert np.isnan(found).all()


@pytest.mark.parametrize("odd", [None, "pose", np.eye(4)])
def test_anything_odd_becomes_a_pose_of_no_numbers(odd: Any) -> None:
    found = requests._transform_of(odd)

    assert found.shape == (3, 4)
    assert np.isnan(found).all()


def test_the_limits_and_the_answer_are_its_own() -> None:
    packed = make_packed()
    guard: Any = Guard()
    made = ProjectedRequests(guard, packed)

    made.projection["reason"] = 99

    assert made._limits is not packed
    assert made.projection["reason"][0] != 99


def test_a_pose_becomes_three_rows() -> None:
    pose = Pose.from_rotvec([0.1, 0.2, 0.3], [0.3, 0.0, 0.1])

    found = requests._transform_of(pose)

    assert np.array_equal(found, pose.as_matrix()[:3])
