"""The check of whole chunks: every bound at its edge, every phrase in full."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from cell.kinematics import compute_base_from_tcp, solve_ik
from safety import chunk_check
from safety.chunk_check import EnvelopeChunkCheck
from tests.fakes.motion_oracle import HOME_Q, SAFETY, TOOL_Z_M

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
ABOVE = Pose.tool_down([-0.2, 0.48, 0.16], 0.3)
GRASP = Pose.tool_down([-0.2, 0.48, 0.04], 0.3)


def check(
    *poses: Pose,
    q_start: Any = HOME_Q,
    aperture_m: float = 0.08,
    score: float = 0.9,
    **changes: object,
) -> str:
    config = SAFETY.model_copy(update=changes)
    steps = tuple(ActionStep(pose, aperture_m) for pose in poses)
    made = EnvelopeChunkCheck(config, TOOL, 0.085)
    return made.check(ActionChunk(1, steps, score, "test"), q_start)


def one(key: str, values: Any) -> dict[str, Any]:
    return {key: tuple(values)}


def test_the_numbers_of_the_check_are_those_that_were_signed_off() -> None:
    assert chunk_check._LINE_STEP_M == 0.01
    assert chunk_check._LINE_TURN_RAD == 0.05
    assert chunk_check._JOINT_STEP_RAD == 0.05
    assert chunk_check._JOINT_JUMP_RAD == 0.35
    assert (chunk_check._LINE_LEFT_M, chunk_check._LINE_LEFT_RAD) == (1e-4, 1e-3)
    assert chunk_check._LONGEST_CHUNK == 64


def test_a_chunk_has_one_to_sixty_four_steps() -> None:
    assert check() == "it holds 0 steps"
    assert check(ABOVE) == ""
    assert check(*[ABOVE] * 64) == ""
    assert check(*[ABOVE] * 65) == "it holds 65 steps"


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_a_score_is_a_ratio(score: Any) -> None:
    assert check(ABOVE, score=score) == ""


@pytest.mark.parametrize("score", [-1e-9, 1.0 + 1e-9, math.nan, math.inf])
def test_anything_else_is_no_score(score: Any) -> None:
    assert check(ABOVE, score=score) == f"its score is {score}"


@pytest.mark.parametrize("aperture_m", [0.0, 0.04, 0.085, 0.085 + 1e-9])
def test_fingers_open_between_nothing_and_their_width(aperture_m: Any) -> None:
    assert check(ABOVE, aperture_m=aperture_m) == ""


@pytest.mark.parametrize("aperture_m", [-1e-12, 0.085 + 1.1e-9, math.nan, math.inf])
def test_and_no_further(aperture_m: Any) -> None:
    wanted = f"step 0 asks for an opening of {aperture_m} m"
    assert check(ABOVE, aperture_m=aperture_m) == wanted


@pytest.mark.parametrize(
    "q_start",
    [
        np.full(6, np.nan),
        np.append(HOME_Q[:5], np.inf),
        np.append(np.nan, HOME_Q[1:]),
        HOME_Q[:5],
        HOME_Q[None],
    ],
)
def test_a_start_that_is_not_known_is_refused(q_start: Any) -> None:
    assert check(ABOVE, q_start=q_start) == "the start position is not known"


def test_a_pose_has_three_and_four_numbers_all_of_them_finite() -> None:
    place, quat = ABOVE.position_m, ABOVE.quat_wxyz

    assert check(Pose(place[:2], quat)) == "step 0 is not a pose"
    assert check(Pose(place, quat[:3])) == "step 0 is not a pose"
    assert check(ABOVE, Pose(place[:2], quat)) == "step 1 is not a pose"
    for bad in (math.nan, math.inf, -math.inf):
        for index in range(3):
            broken = place.copy()
            broken[index] = bad
            assert check(Pose(broken, quat)) == "step 0 is not finite"
        for index in range(4):
            broken = quat.copy()
            broken[index] = bad
            assert check(Pose(place, broken)) == "step 0 is not finite"


@pytest.mark.parametrize(
    ("scale", "passes"), [(1.0009, 1), (0.9991, 1), (1.0011, 0), (0.9989, 0)]
)
def test_a_quaternion_has_unit_length(scale: Any, passes: Any) -> None:
    found = check(Pose(ABOVE.position_m, ABOVE.quat_wxyz * scale))

    wanted = "step 0 has a quaternion that is not of unit length"
    assert found == ("" if passes else wanted)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", ["min", "max"])
def test_a_step_keeps_a_millimetre_from_the_faces_of_the_workspace(
    axis: Any, side: Any
) -> None:
    key = f"workspace_{side}_m"
    inward = 1.0 if side == "min" else -1.0
    place_m = float(ABOVE.position_m[axis])
    about_m = place_m - inward * 1e-3
    # Of the numbers around, one that is a millimetre away to the last bit.
    around = [about_m + k * math.ulp(about_m) for k in range(-4, 5)]
    corner, beyond = list(getattr(SAFETY, key)), list(getattr(SAFETY, key))
    corner[axis] = next(face for face in around if face + inward * 1e-3 == place_m)
    beyond[axis] = corner[axis] + inward * 1e-9

    assert "lies outside" not in check(ABOVE, **one(key, corner))
    wanted = "step 0 lies outside the workspace at (-0.200, 0.480, 0.160) m"
    assert check(ABOVE, **one(key, beyond)) == wanted


def test_a_pose_out_of_reach_is_refused() -> None:
    far = Pose.tool_down([0.49, 0.79, 0.69], 0.0)

    assert check(far) == "step 0 is out of reach"


def test_joint_limits_decide_what_is_in_reach() -> None:
    elbow = (6.2, 0.0, -2.8, 6.2, 6.2, 6.2)
    shoulder = (-6.2, -0.1, -2.9, -6.2, -6.2, -6.2)

    assert check(ABOVE, joint_max_rad=elbow) == "step 0 is out of reach"
    assert check(ABOVE, joint_min_rad=shoulder) == "step 0 is out of reach"


def test_the_way_to_the_first_step_stays_in_the_workspace() -> None:
    behind = HOME_Q - np.array([2.5, 0.0, 0.0, 0.0, 0.0, 0.0])

    found = check(ABOVE, q_start=behind)

    assert found.startswith("the way to step 0 leaves the workspace at (")


def test_the_way_is_looked_at_all_along() -> None:
    # The tool swings out to x = -0.65 and back, and starts and ends inside.
    q_end = solve_ik(ABOVE, TOOL, HOME_Q)
    assert q_end is not None
    before = q_end + np.array([1.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    path = [
        compute_base_from_tcp(before + s * (q_end - before), TOOL).position_m
        for s in np.linspace(0.0, 1.0, 200)
    ]
    places = np.array(path)
    low, high = places.min(axis=0), places.max(axis=0)

    roomy: dict[str, Any] = {
        "workspace_min_m": tuple(low - 2e-3),
        "workspace_max_m": tuple(high + 2e-3),
    }
    assert check(ABOVE, q_start=before, **roomy) == ""
    for axis in range(3):
        for bounds, sign in ((low, 1.0), (high, -1.0)):
            ends = (path[0][axis], path[-1][axis])
            bound = bounds[axis]
            # Only a bulge that neither end has is the way's own.
            if min(abs(end - bound) for end in ends) < 0.02:
                continue
            tight = bounds + np.where(np.arange(3) == axis, sign * 0.01, -sign * 2e-3)
            key = "workspace_min_m" if sign > 0 else "workspace_max_m"
            found = check(ABOVE, q_start=before, **roomy | one(key, tight))
            assert found.startswith("the way to step 0 leaves the workspace"), axis
            break


def test_lines_go_on_from_where_the_one_before_ended() -> None:
    turned = [Pose.tool_down([-0.2, 0.48, 0.16], 0.3 + 0.25 * k) for k in range(9)]

    assert check(*turned) == ""


def test_each_line_is_named_by_its_last_step() -> None:
    wide: dict[str, Any] = {
        "workspace_min_m": (-0.94,) * 3,
        "workspace_max_m": (0.94,) * 3,
    }
    far = Pose.tool_down([-0.9, 0.9, 0.16], 0.3)

    first = check(ABOVE, far, **wide)
    second = check(ABOVE, GRASP, far, **wide)
    back = check(ABOVE, GRASP, ABOVE, GRASP, **wide)

    assert first.startswith("step 1: the line comes too near a singularity (0.0")
    assert second.startswith("step 2: the line")
    assert back == ""


@pytest.mark.parametrize("side", ["min", "max"])
def test_a_line_stays_within_the_joint_limits_of_either_side(side: Any) -> None:
    q = solve_ik(ABOVE, TOOL, HOME_Q)
    assert q is not None
    sign = 1.0 if side == "max" else -1.0
    turned = Pose.tool_down([-0.2, 0.48, 0.16], 0.3 - sign * 0.6)
    limit = list(getattr(SAFETY, f"joint_{side}_rad"))
    limit[5] = float(q[5]) + sign * 0.3

    assert check(ABOVE, turned) == ""
    found = check(ABOVE, turned, **one(f"joint_{side}_rad", limit))
    assert found == "step 1: the line leaves the joint limits"


def make_check(**changes: object) -> EnvelopeChunkCheck:
    return EnvelopeChunkCheck(SAFETY.model_copy(update=changes), TOOL, 0.085)


def test_a_line_that_is_refused_leaves_the_joints_where_they_were() -> None:
    q = solve_ik(ABOVE, TOOL, HOME_Q)
    assert q is not None
    wide: dict[str, Any] = {
        "workspace_min_m": (-0.94,) * 3,
        "workspace_max_m": (0.94,) * 3,
    }
    far = Pose.tool_down([-0.9, 0.9, 0.16], 0.3)
    upper = (*SAFETY.joint_max_rad[:5], float(q[5]) + 1e-6)
    turned = Pose.tool_down([-0.2, 0.48, 0.16], 0.25)

    wrong, _ = make_check(**wide)._follow_line(ABOVE, far, q, 0.08)
    jumped = make_check()._follow_line(ABOVE, ABOVE, q + 0.01, 0.08)
    limited = make_check(joint_max_rad=upper)._follow_line(ABOVE, turned, q, 0.08)

    assert "singularity" in wrong
    assert jumped[0] == ""
    assert limited[0] == "the line leaves the joint limits"
    assert (limited[1] == q).all()


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (0.0, [1.0]),
        (0.4, [1.0]),
        (1.0, [1.0]),
        (1.2, [0.5, 1.0]),
        (4.0, [0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_a_way_is_looked_at_once_a_step_and_at_its_end(steps: Any, wanted: Any) -> None:
    assert chunk_check._ratios(steps).tolist() == wanted


def test_a_quaternion_may_be_longer_by_a_thousandth_and_not_more() -> None:
    for length, passes in ((1.0 + 2.0**-10, True), (1.0 + 2.0**-10 + 2.0**-40, False)):
        found = check(Pose(ABOVE.position_m, np.array([length, 0.0, 0.0, 0.0])))
        assert ("unit length" not in found) is passes


class Fingers:
    """Remembers with which opening it was asked."""

    def __init__(self) -> None:
        self.openings: set[tuple[str, float]] = set()
        self.last: Any = None

    def find_on_way(self, _start: Any, _end: Any, opening_m: float) -> str:
        self.openings.add(("way", opening_m))
        return ""

    def find_at(self, q: Any, opening_m: float) -> str:
        self.openings.add(("at", opening_m))
        self.last = q
        return ""

    def find_while_closing(self, q: Any, opening_m: float) -> str:
        self.openings.add(("closing", opening_m))
        assert (q == self.last).all()
        return "touches the bin"


def test_the_opening_of_the_first_step_is_that_of_the_whole_way() -> None:
    fingers: Any = Fingers()
    made = EnvelopeChunkCheck(SAFETY, TOOL, 0.085, fingers)
    steps = (ActionStep(ABOVE, 0.07), ActionStep(GRASP, 0.02))

    found = made.check(ActionChunk(1, steps, 0.9, "test"), HOME_Q)

    assert found == "closing the fingers touches the bin"
    assert fingers.openings == {("way", 0.07), ("at", 0.07), ("closing", 0.07)}
