"""How the check of a chunk walks: which places it looks at, and where it stops.

Kinematics are replaced by the simplest there are: the tool is where the first three
joints say.
"""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from safety import chunk_check
from safety.chunk_check import EnvelopeChunkCheck
from tests.fakes.motion_oracle import SAFETY

UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
START = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
OPENING_M = 0.08


class Walk:
    """The replaced kinematics, and what was asked of them."""

    def __init__(self, monkeypatch: Any) -> None:
        self.places: list[Any] = []
        self.targets: list[Pose] = []
        self.iterations: set[int] = set()
        self.sigma = 0.5
        self.left = (0.0, 0.0)
        self.step = np.zeros(6)
        monkeypatch.setattr(chunk_check, "compute_base_from_tcp", self._find_pose)
        monkeypatch.setattr(
            chunk_check, "compute_smallest_singular_value", lambda *_: self.sigma
        )
        monkeypatch.setattr(chunk_check, "track_ik", self._track)

    def _find_pose(self, q: Any, _: Any) -> Pose:
        self.places.append(np.array(q))
        return Pose(np.array(q[:3]), UPRIGHT)

    def _track(self, target: Pose, _: Any, q: Any, iterations: int) -> Any:
        self.targets.append(target)
        self.iterations.add(iterations)
        return q + self.step, *self.left


@pytest.fixture
def walk(monkeypatch: Any) -> Walk:
    return Walk(monkeypatch)


def make_check(**changes: object) -> EnvelopeChunkCheck:
    wide: dict[str, object] = {
        "workspace_min_m": (0.0, 0.0, 0.0),
        "workspace_max_m": (2.0, 2.0, 2.0),
        "joint_min_rad": (-2.0,) * 6,
        "joint_max_rad": (2.0,) * 6,
    }
    config = SAFETY.model_copy(update=wide | changes)
    return EnvelopeChunkCheck(config, Pose.identity(), 0.085)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("joint", range(6))
def test_the_way_is_cut_by_the_joint_that_goes_furthest(
    walk: Walk, joint: Any, sign: Any
) -> None:
    end = START.copy()
    end[joint] += sign * 0.19

    assert make_check()._check_joint_path(START, end, OPENING_M) == ""

    steps = [place[joint] - START[joint] for place in walk.places]
    assert steps == pytest.approx([sign * 0.19 * k / 4 for k in range(5)])


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_way_keeps_a_millimetre_from_the_faces(
    walk: Walk, axis: Any, sign: Any
) -> None:
    face, beyond = START.copy(), START.copy()
    face[axis] += sign * (0.999 - 1e-12)
    beyond[axis] += sign * (0.999 + 1e-12)

    assert make_check()._check_joint_path(START, face, OPENING_M) == ""
    wrong = make_check()._check_joint_path(START, beyond, OPENING_M)
    assert wrong.startswith("the way to step 0 leaves the workspace at (")


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("place", [-0.1, 0.001, 2.0 - 0.001, 2.1])
def test_the_way_may_stay_at_a_face_or_outside(
    walk: Walk, axis: Any, place: Any
) -> None:
    there = START.copy()
    there[axis] = place

    assert make_check()._check_joint_path(there, there, OPENING_M) == ""


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_way_may_come_in_from_outside(walk: Walk, axis: Any, sign: Any) -> None:
    outside, further = START.copy(), START.copy()
    outside[axis] += sign * 1.2
    further[axis] += sign * 1.3

    assert make_check()._check_joint_path(outside, START, OPENING_M) == ""
    assert make_check()._check_joint_path(outside, further, OPENING_M) != ""


@pytest.mark.parametrize(
    ("sigma", "wanted"),
    [(0.08, ""), (math.nextafter(0.08, 0.0), "step 0 lies in a singularity")],
)
def test_the_first_step_keeps_off_singularities(
    walk: Walk, sigma: Any, wanted: Any
) -> None:
    walk.sigma = sigma
    assert make_check()._check_joint_path(START, START, OPENING_M) == wanted
    walk.sigma = math.nan
    assert make_check()._check_joint_path(START, START, OPENING_M) != ""


def pose(*place: float, turn: Any = (0.0, 0.0, 0.0)) -> Pose:
    return Pose.from_rotvec(list(place), list(turn))


def test_a_line_is_cut_by_its_length_or_its_turn(walk: Walk) -> None:
    start = pose(0.1, 0.2, 0.3)
    make_check()._follow_line(start, pose(0.1, 0.2, 0.335), START, OPENING_M)
    by_length = list(walk.targets)
    walk.targets.clear()
    turned = pose(0.1, 0.2, 0.3, turn=(0.0, 0.19, 0.0))
    make_check()._follow_line(start, turned, START, OPENING_M)

    heights = [target.position_m[2] for target in by_length]
    assert heights == pytest.approx([0.3 + 0.035 * k / 4 for k in (1, 2, 3, 4)])
    angles = [target.as_rotvec()[1] for target in walk.targets]
    assert angles == pytest.approx([0.19 * k / 4 for k in (1, 2, 3, 4)])
    assert walk.iterations == {10}


def test_only_the_turn_of_a_line_is_spun(walk: Walk, monkeypatch: Any) -> None:
    spun: list[list[float]] = []

    class Watched(Pose):
        @classmethod
        def from_rotvec(cls, position_m: Any, rotvec: Any) -> Any:
            spun.append(list(position_m))
            return Pose.from_rotvec(position_m, rotvec)

    monkeypatch.setattr(chunk_check, "Pose", Watched)
    make_check()._follow_line(
        pose(0.1, 0.2, 0.3), pose(0.1, 0.2, 0.305), START, OPENING_M
    )

    assert spun == [[0.0, 0.0, 0.0]]


LINE = (pose(0.1, 0.2, 0.3), pose(0.1, 0.2, 0.305))


@pytest.mark.parametrize(
    ("left", "wanted"),
    [
        ((1e-4, 1e-3), ""),
        ((1.001e-4, 0.0), "the line is out of reach"),
        ((0.0, 1.001e-3), "the line is out of reach"),
        ((math.nan, 0.0), "the line is out of reach"),
        ((0.0, math.nan), "the line is out of reach"),
    ],
)
def test_a_line_has_to_be_followed_closely(walk: Walk, left: Any, wanted: Any) -> None:
    walk.left = left

    wrong, q = make_check()._follow_line(*LINE, START, OPENING_M)

    assert wrong == wanted
    assert (q == START).all()


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_joint_jumps_along_a_line(walk: Walk, joint: Any, sign: Any) -> None:
    here = np.zeros(6)
    walk.step[joint] = sign * 0.35
    wrong, q = make_check()._follow_line(*LINE, here, OPENING_M)
    assert wrong == ""
    assert (q == walk.step).all()

    walk.step[joint] = sign * math.nextafter(0.35, 1.0)
    wrong, q = make_check()._follow_line(*LINE, here, OPENING_M)
    assert wrong == "the line crosses a singularity"
    assert (q == here).all()
    walk.step[joint] = math.nan
    assert (
        make_check()._follow_line(*LINE, here, OPENING_M)[0]
        == "the line crosses a singularity"
    )


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_joints_stay_within_their_limits_along_a_line(
    walk: Walk, joint: Any, sign: Any
) -> None:
    here = np.zeros(6)
    here[joint] = sign * 1.75
    walk.step[joint] = sign * 0.25
    assert make_check()._follow_line(*LINE, here, OPENING_M)[0] == ""

    walk.step[joint] = sign * (0.25 + 1e-12)
    wrong, q = make_check()._follow_line(*LINE, here, OPENING_M)
    assert wrong == "the line leaves the joint limits"
    assert (q == here).all()


@pytest.mark.parametrize(
    ("sigma", "wanted"),
    [
        (0.08, ""),
        (math.nextafter(0.08, 0.0), "the line comes too near a singularity (0.080)"),
        (0.0, "the line comes too near a singularity (0.000)"),
        (math.nan, "the line comes too near a singularity (nan)"),
    ],
)
def test_a_line_keeps_off_singularities(walk: Walk, sigma: Any, wanted: Any) -> None:
    walk.sigma = sigma
    walk.step[0] = 0.1

    wrong, q = make_check()._follow_line(*LINE, START, OPENING_M)

    assert wrong == wanted
    assert (q == (START if wanted else START + walk.step)).all()


def test_a_line_that_comes_near_something_leaves_the_joints_where_they_were(
    walk: Walk, monkeypatch: Any
) -> None:
    made = make_check()
    monkeypatch.setattr(made, "_find_near", lambda *_: "leaves nothing")
    walk.step[0] = 0.1

    wrong, q = made._follow_line(*LINE, START, OPENING_M)

    assert wrong == "the line leaves nothing"
    assert (q == START).all()


def test_a_line_without_a_length_is_looked_at_once(walk: Walk) -> None:
    assert make_check()._follow_line(LINE[0], LINE[0], START, OPENING_M)[0] == ""
    assert len(walk.targets) == 1


class Fingers:
    """Say what they were told to, and remember what they were asked."""

    def __init__(self, **touches: str) -> None:
        self.touches = touches
        self.asked: list[tuple[Any, ...]] = []

    def find_on_way(self, q_start: Any, q_end: Any, aperture_m: float) -> str:
        self.asked.append(("way", q_start.tolist(), q_end.tolist(), aperture_m))
        return self.touches.get("way", "")

    def find_at(self, q: Any, aperture_m: float) -> str:
        self.asked.append(("at", q.tolist(), aperture_m))
        return self.touches.get("at", "")

    def find_while_closing(self, q: Any, aperture_m: float) -> str:
        self.asked.append(("closing", q.tolist(), aperture_m))
        return self.touches.get("closing", "")


def make_check_of(fingers: Any) -> EnvelopeChunkCheck:
    made = make_check()
    made._fingers = fingers
    return made


def test_fingers_are_looked_at_all_along_the_way_to_the_first_step(walk: Walk) -> None:
    fingers = Fingers()
    end = START + np.array([0.0, 0.0, 0.0, 0.1, 0.0, 0.0])
    middle = START + 0.5 * (end - START)

    assert make_check_of(fingers)._check_joint_path(START, end, 0.03) == ""

    assert fingers.asked == [
        ("way", START.tolist(), middle.tolist(), 0.03),
        ("way", middle.tolist(), end.tolist(), 0.03),
    ]


def test_fingers_that_touch_something_on_the_way_refuse_it(walk: Walk) -> None:
    made = make_check_of(Fingers(way="leaves too little"))

    wrong = made._check_joint_path(START, START, 0.03)

    assert wrong == "the way to step 0 leaves too little"


def test_fingers_are_looked_at_all_along_a_line(walk: Walk) -> None:
    fingers = Fingers()
    walk.step[0] = 0.1

    wrong, _ = make_check_of(fingers)._follow_line(
        pose(0.1, 0.2, 0.3), pose(0.1, 0.2, 0.315), START, 0.03
    )

    assert wrong == ""
    assert fingers.asked == [
        ("at", (START + walk.step).tolist(), 0.03),
        ("at", (START + walk.step + walk.step).tolist(), 0.03),
    ]


def test_fingers_that_touch_something_on_a_line_refuse_it(walk: Walk) -> None:
    made = make_check_of(Fingers(at="leaves too little"))

    wrong, q = made._follow_line(*LINE, START, 0.03)

    assert wrong == "the line leaves too little"
    assert (q == START).all()


def test_where_the_arm_comes_too_near_that_is_what_is_named(
    walk: Walk, monkeypatch: Any
) -> None:
    fingers = Fingers(way="touches", at="touches")
    made = make_check_of(fingers)
    monkeypatch.setattr(made, "_find_near", lambda *_: "leaves nothing")

    assert made._follow_line(*LINE, START, 0.03)[0] == "the line leaves nothing"
    on_way = made._check_joint_path(START, START, 0.03)
    assert on_way == "the way to step 0 leaves nothing"
    assert fingers.asked == []


def test_fingers_are_looked_at_while_they_close() -> None:
    fingers = Fingers()

    assert make_check_of(fingers)._check_closing(START, 0.03) == ""
    assert fingers.asked == [("closing", START.tolist(), 0.03)]
    touching = make_check_of(Fingers(closing="leaves too little"))
    wrong = touching._check_closing(START, 0.03)
    assert wrong == "closing the fingers leaves too little"
    assert make_check()._check_closing(START, 0.03) == ""


def test_the_opening_of_the_first_step_counts_to_the_end(
    walk: Walk, monkeypatch: Any
) -> None:
    monkeypatch.setattr(chunk_check, "solve_ik", lambda *_: START)
    fingers = Fingers()
    steps = tuple(
        ActionStep(pose(0.1, 0.2, 0.3 + 0.005 * number), opening_m)
        for number, opening_m in enumerate((0.03, 0.01, 0.07))
    )

    wrong = make_check_of(fingers).check(ActionChunk(1, steps, 0.9, "test"), START)

    assert wrong == ""
    kinds = [asked[0] for asked in fingers.asked]
    assert kinds == ["way", "at", "at", "closing"]
    assert {asked[-1] for asked in fingers.asked} == {0.03}
    touching = make_check_of(Fingers(closing="leaves too little"))
    wrong = touching.check(ActionChunk(1, steps, 0.9, "test"), START)
    assert wrong == "closing the fingers leaves too little"


R = 2.0**-30


@pytest.mark.parametrize(
    ("sigmas", "wanted"),
    [
        # Start, and two places looked at on the way; 0.08 is the least there may be.
        ((0.2, 0.1, 0.1), ""),
        ((0.2, 0.08 - R, 0.08), ""),
        ((0.2, 0.08 - 2.0 * R, 0.08), "too near a singularity (0.080)"),
        ((0.2, math.nan, 0.1), "too near a singularity (nan)"),
        ((math.nan, 0.07, 0.1), "too near a singularity (0.070)"),
        ((0.05, 0.3, 0.1), ""),
        ((0.05, 0.3, 0.07), "too near a singularity (0.070)"),
        ((0.05, 0.05 - 0.5 * R, 0.05 - 1.25 * R), "too near a singularity (0.050)"),
        ((0.05, 0.06, 0.07), "step 0 lies in a singularity"),
    ],
)
def test_the_way_keeps_off_singularities_and_leaves_them(
    walk: Walk, monkeypatch: Any, sigmas: Any, wanted: Any
) -> None:
    told = iter(sigmas)
    monkeypatch.setattr(
        chunk_check, "compute_smallest_singular_value", lambda *_: next(told)
    )
    end = START + np.array([0.0, 0.0, 0.0, 0.1, 0.0, 0.0])

    wrong = make_check()._check_joint_path(START, end, OPENING_M)

    assert wrong.endswith(wanted)
    assert bool(wrong) is bool(wanted)
