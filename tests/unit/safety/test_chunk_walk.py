"""How the check of a chunk walks: which places it looks at, and where it stops.

Kinematics are replaced by the simplest there are: the tool is where the first three
joints say.
"""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from safety import chunk_check
from safety.chunk_check import EnvelopeChunkCheck
from tests.fakes.motion_oracle import SAFETY

UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
START = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])

OPENING_M = 0.04


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
def test_the_way_may_touch_a_face_and_not_cross_it(
    walk: Walk, axis: Any, sign: Any
) -> None:
    face, beyond = START.copy(), START.copy()
    face[axis] += sign
    beyond[axis] += sign * (1.0 + 1e-12)

    assert make_check()._check_joint_path(START, face, OPENING_M) == ""
    wrong = make_check()._check_joint_path(START, beyond, OPENING_M)
    assert wrong.startswith("the way to step 0 leaves the workspace at (")


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
    make_check()._follow_line(*LINE, START, OPENING_M)

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
    """Says what it was asked about, and what it was told to say."""

    def __init__(self, **answers: str) -> None:
        self.asked: list[Any] = []
        self._answers = answers

    def find_on_way(self, q_start: Any, q_end: Any, opening_m: float) -> str:
        self.asked.append(("way", q_start.copy(), q_end.copy(), opening_m))
        return self._answers.get("way", "")

    def find_at(self, q: Any, opening_m: float) -> str:
        self.asked.append(("at", q.copy(), opening_m))
        return self._answers.get("at", "")

    def find_while_closing(self, q: Any, opening_m: float) -> str:
        self.asked.append(("closing", q.copy(), opening_m))
        return self._answers.get("closing", "")


def with_fingers(**answers: str) -> tuple[EnvelopeChunkCheck, Fingers]:
    fingers: Any = Fingers(**answers)
    made = make_check()
    made._fingers = fingers
    return made, fingers


def test_fingers_are_looked_at_on_each_stretch_of_the_way(walk: Walk) -> None:
    made, fingers = with_fingers()
    end = START + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.09])

    assert made._check_joint_path(START, end, OPENING_M) == ""

    assert [asked[0] for asked in fingers.asked] == ["way", "way"]
    assert [asked[3] for asked in fingers.asked] == [OPENING_M] * 2
    assert np.allclose(fingers.asked[0][1], START)
    assert np.allclose(fingers.asked[0][2], fingers.asked[1][1])
    assert np.allclose(fingers.asked[1][2], end)


def test_what_fingers_touch_refuses_the_way_and_the_line(walk: Walk) -> None:
    made, _ = with_fingers(way="touch it", at="touch that")
    walk.step[0] = 0.1

    assert made._check_joint_path(START, START, 0.04) == "the way to step 0 touch it"
    wrong, q = made._follow_line(*LINE, START, OPENING_M)
    assert wrong == "the line touch that"
    assert (q == START).all()


def test_fingers_are_looked_at_where_a_line_comes_to(walk: Walk) -> None:
    made, fingers = with_fingers()
    walk.step[0] = 0.1

    made._follow_line(*LINE, START, OPENING_M)

    ((what, q, opening_m),) = fingers.asked
    assert (what, opening_m) == ("at", OPENING_M)
    assert (q == START + walk.step).all()


def test_what_is_too_near_is_named_before_what_fingers_touch(
    walk: Walk, monkeypatch: Any
) -> None:
    made, fingers = with_fingers(way="touch it", at="touch that")
    monkeypatch.setattr(made, "_find_near", lambda *_: "leaves nothing")

    assert "leaves nothing" in made._check_joint_path(START, START, OPENING_M)
    assert made._follow_line(*LINE, START, OPENING_M)[0] == "the line leaves nothing"
    assert fingers.asked == []


@pytest.mark.parametrize(
    ("says", "wanted"), [("", ""), ("touches it", "closing the fingers touches it")]
)
def test_at_the_end_the_fingers_close(walk: Walk, says: Any, wanted: Any) -> None:
    made, fingers = with_fingers(closing=says)

    assert made._check_closing(START, OPENING_M) == wanted

    assert [asked[0] for asked in fingers.asked] == ["closing"]
    assert make_check()._check_closing(START, OPENING_M) == ""
