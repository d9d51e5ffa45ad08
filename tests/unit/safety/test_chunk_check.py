"""Chunks that may be carried out, and every way in which one may not."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from cell.kinematics import compute_base_from_tcp, compute_smallest_singular_value
from safety import chunk_check
from safety.chunk_check import EnvelopeChunkCheck
from safety.limits import MINIMUM_SINGULAR_VALUE
from safety.zones import BoxZone, ToolCapsule
from tests.fakes.motion_oracle import HOME_Q, SAFETY, TOOL_Z_M

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
ABOVE = Pose.tool_down([-0.2, 0.48, 0.16], 0.3)
GRASP = Pose.tool_down([-0.2, 0.48, 0.04], 0.3)
CHECK = EnvelopeChunkCheck(SAFETY, TOOL, max_aperture_m=0.085)


def chunk(*poses: Pose, aperture_m: float = 0.08, score: float = 0.9) -> ActionChunk:
    steps = tuple(ActionStep(pose, aperture_m) for pose in poses)
    return ActionChunk(1, steps, score, "test")


def test_a_pregrasp_and_a_grasp_pass() -> None:
    assert CHECK.check(chunk(ABOVE, GRASP), HOME_Q) == ""


def test_a_single_step_passes() -> None:
    assert CHECK.check(chunk(ABOVE), HOME_Q) == ""


@pytest.mark.parametrize(
    ("bad", "phrase"),
    [
        (chunk(), "0 steps"),
        (chunk(*[ABOVE] * 65), "65 steps"),
        (chunk(ABOVE, score=1.1), "score"),
        (chunk(ABOVE, score=math.nan), "score"),
        (chunk(ABOVE, aperture_m=0.09), "opening"),
        (chunk(ABOVE, aperture_m=math.nan), "opening"),
        (chunk(Pose(np.zeros(2), ABOVE.quat_wxyz)), "not a pose"),
        (chunk(Pose(np.full(3, np.nan), ABOVE.quat_wxyz)), "not finite"),
        (chunk(Pose(ABOVE.position_m, np.zeros(4))), "unit length"),
        (chunk(ABOVE, Pose.tool_down([-0.2, 0.48, 0.0], 0.3)), "step 1 lies outside"),
        (chunk(Pose.tool_down([0.49, 0.79, 0.69], 0.0)), "out of reach"),
    ],
)
def test_a_malformed_or_unreachable_chunk_is_refused(bad: Any, phrase: Any) -> None:
    assert phrase in CHECK.check(bad, HOME_Q)


@pytest.mark.parametrize("q_start", [np.full(6, np.nan), np.zeros(5)])
def test_an_unknown_start_is_refused(q_start: Any) -> None:
    assert "start" in CHECK.check(chunk(ABOVE), q_start)


def wide(**changes: object) -> EnvelopeChunkCheck:
    config = SAFETY.model_copy(
        update={
            "workspace_min_m": (-0.94, -0.94, -0.94),
            "workspace_max_m": (0.94, 0.94, 0.94),
            **changes,
        }
    )
    return EnvelopeChunkCheck(config, TOOL, 0.085)


def test_a_way_that_leaves_the_workspace_is_refused() -> None:
    behind = HOME_Q - np.array([2.5, 0.0, 0.0, 0.0, 0.0, 0.0])

    assert "way to step 0 leaves the workspace" in CHECK.check(chunk(ABOVE), behind)


def test_a_way_that_comes_in_from_outside_is_granted() -> None:
    outside = HOME_Q + np.array([1.5, 0.0, 0.0, 0.0, 0.0, 0.0])

    assert CHECK.check(chunk(ABOVE), outside) == ""


def test_a_way_through_a_singularity_is_refused_before_it_begins() -> None:
    start = HOME_Q.copy()
    start[4] = 0.4
    end = HOME_Q.copy()
    end[4] = -0.4
    ends = [compute_smallest_singular_value(q, TOOL) for q in (start, end)]
    assert min(ends) > MINIMUM_SINGULAR_VALUE

    wrong = wide()._check_joint_path(start, end, 0.05)

    assert wrong.startswith("the way to step 0 comes too near a singularity (0.0")


def test_who_stands_in_a_singularity_may_leave_it_and_not_come_back() -> None:
    inside, outside = HOME_Q.copy(), HOME_Q.copy()
    inside[4], outside[4] = 0.1, 0.6
    beyond = HOME_Q.copy()
    beyond[4] = -0.6

    assert wide()._check_joint_path(inside, outside, 0.05) == ""
    assert "singularity" in wide()._check_joint_path(inside, beyond, 0.05)


def test_a_first_step_in_a_singularity_is_refused() -> None:
    # With a straight wrist two roll axes lie on one line.
    singular = np.array([-1.4, -1.5, 1.6, -1.67, 0.0, 0.1])
    pose = compute_base_from_tcp(singular, TOOL)

    assert "singularity" in wide().check(chunk(pose), singular + 0.01)


def test_a_line_towards_the_end_of_reach_is_refused() -> None:
    far = Pose.tool_down([-0.9, 0.9, 0.16], 0.3)

    assert "too near a singularity" in wide().check(chunk(ABOVE, far), HOME_Q)


def test_a_line_that_tilts_the_wrist_straight_is_refused() -> None:
    start = Pose.tool_down([-0.2, 0.48, 0.30], 0.3)
    tilt = Pose.from_rotvec([0.0, 0.0, 0.0], [-1.5, 0.0, 0.0])

    assert "singularity" in wide().check(chunk(start, start @ tilt), HOME_Q)


@pytest.mark.parametrize(
    ("place_m", "phrase"),
    [([-0.9, 0.9, 0.16], "out of reach"), ([0.3, 0.3, 0.16], "crosses")],
)
def test_a_line_with_a_break_in_it_is_refused(
    monkeypatch: Any, place_m: Any, phrase: Any
) -> None:
    # One stride from end to end, as over a gap between two joint solutions.
    monkeypatch.setattr(chunk_check, "_LINE_STEP_M", 10.0)
    monkeypatch.setattr(chunk_check, "_LINE_TURN_RAD", 10.0)

    assert phrase in wide().check(chunk(ABOVE, Pose.tool_down(place_m, 0.3)), HOME_Q)


def test_a_line_past_the_joint_limits_is_refused() -> None:
    turned = Pose.tool_down([-0.2, 0.48, 0.16], 0.3 - 1.2)
    check = wide(joint_max_rad=(6.2, 0.0, 2.9, 6.2, 6.2, 0.4))

    assert "joint limits" in check.check(chunk(ABOVE, turned), HOME_Q)


WRIST = ToolCapsule(
    name="palm",
    group="tool",
    from_m=(0.0, 0.0, 0.0),
    to_m=(0.0, 0.0, 0.08),
    radius_m=0.05,
)


def block(centre_m: Any, half_m: Any) -> dict[str, Any]:
    zone = BoxZone(name="block", keeps_out=("tool",), centre_m=centre_m, half_m=half_m)
    return {"tool": (WRIST,), "zones": (zone,)}


def test_a_zone_on_the_way_to_the_first_step_is_named() -> None:
    # Between home and the bin, up to above the gripper.
    check = wide(**block((0.02, 0.5, 0.2), (0.02, 0.3, 0.2)))

    refusal = check.check(chunk(ABOVE), HOME_Q)

    assert "the way to step 0 leaves" in refusal
    assert "between palm and zone block" in refusal


def test_a_zone_on_the_way_down_is_named_with_its_step() -> None:
    # The palm stands 40 mm above it before the last step.
    check = wide(**block((-0.2, 0.48, 0.05), (0.3, 0.3, 0.05)))

    refusal = check.check(chunk(ABOVE, GRASP), HOME_Q)

    assert refusal.startswith("step 1: the line leaves")
    assert "between palm and zone block" in refusal
