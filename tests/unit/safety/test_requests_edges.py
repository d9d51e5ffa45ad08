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

    def reset(self, q_measured: Any) -> None:
        self.q = np.array(q_measured)
        self.motion = (self.q.copy(), np.zeros(6), np.zeros(6))

    def read_motion(self) -> tuple[Any, Any, Any]:
        return self.motion

    def vet(self, q: Any, *stamps_and_force: Any) -> Verdict:
        self.asked.append((q, *stamps_and_force))
        self.q = q
        return Verdict(q, HoldReason.NONE, 0.5, 0.0)

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        self.held.append((reason, now_ns))
        return Verdict(self.q.copy(), reason, -1.0, 0.0)


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


def test_without_a_known_position_there_is_nowhere_to_start_from() -> None:
    made, guard = make()
    guard.motion = (np.full(6, np.nan), np.zeros(6), np.zeros(6))

    made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert made.projection.shape == (1,)
    assert made.projection.dtype == PROJECTION
    assert made.projection["reason"][0] == HoldReason.COMMAND_NOT_FINITE
    assert guard.held == [(HoldReason.COMMAND_NOT_FINITE, 33)]
    assert guard.asked == []


def test_every_wish_starts_from_the_motion_that_was_vetted(kernels: Kernels) -> None:
    made, guard = make()
    guard.motion = (HOME_Q + 0.1, np.arange(6.0), np.arange(6.0) - 9.0)
    wish = np.linspace(-1.0, 1.0, 6)
    kernels.calls.clear()

    made.vet_action(wish, *STAMPS, NO_FORCE)
    made.vet_pose(Pose.identity(), *STAMPS, NO_FORCE)

    increment, pose, towards = kernels.calls
    assert increment[0] == "project_increment"
    assert np.array_equal(increment[1], [*guard.motion, wish])
    assert pose[0] == "project_pose"
    assert np.array_equal(pose[1][0], guard.motion[0])
    assert np.array_equal(pose[1][1], np.eye(3, 4))
    assert towards[0] == "project_towards"
    assert np.array_equal(towards[1][:3], guard.motion)
    assert [asked[1:4] for asked in guard.asked] == [STAMPS] * 2


def test_a_refused_wish_holds_now_with_its_own_numbers(kernels: Kernels) -> None:
    made, guard = make()
    kernels.reason = int(HoldReason.UNREACHABLE)

    verdict = made.vet_action(np.zeros(6), *STAMPS, NO_FORCE)

    assert guard.held == [(HoldReason.UNREACHABLE, 33)]
    assert (verdict.reason, verdict.margin, verdict.value) == (
        HoldReason.UNREACHABLE,
        -0.25,
        4.5,
    )
    assert guard.asked == []


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
