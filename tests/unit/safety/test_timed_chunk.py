"""A chunk with a pace of its own is judged whole, as the guard would judge it later."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_base_from_tcp
from cell.kinematics.timed_path import TimedPath
from safety.guard import EnvelopeGuard
from safety.timed_chunk import (
    EARLIEST_SEAM_CYCLES,
    SEAM_JUMP_RAD,
    GuardedChunkCheck,
)
from safety.zones import BoxZone, ToolCapsule
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
CHECK = GuardedChunkCheck(SAFETY, TOOL, PERIOD_S)
STEP_S = 0.05
RESTING = TimedPath.at_rest(HOME_Q)


def swing(joint: int = 5, reach_rad: float = 0.4, rows: int = 12) -> Vector:
    """Return rows from home that come to rest `reach_rad` further in one joint."""
    ratio = np.arange(1, rows + 1) / rows
    q = np.tile(HOME_Q, (rows, 1))
    q[:, joint] += reach_rad * ratio**3 * (10.0 - 15.0 * ratio + 6.0 * ratio**2)
    return q


def first_chunk(rows: Vector | None = None, **fields: Any) -> TimedChunk:
    q = np.vstack([HOME_Q, swing() if rows is None else rows])
    return replace(TimedChunk(1, 0, 0.0, STEP_S, q), **fields)


def vet_all(path: TimedPath) -> HoldReason:
    """Return what the guard says to the whole path, setpoint by setpoint."""
    guard = EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)
    guard.reset(path.sample(0.0)[0])
    now_ns = 10**9
    for cycle in range(1, int(path.duration_s / PERIOD_S) + 3):
        now_ns += 2_000_000
        q = path.sample(cycle * PERIOD_S)[0]
        verdict = guard.vet(q, now_ns, now_ns, now_ns, np.zeros(6))
        if verdict.reason is not HoldReason.NONE:
            return verdict.reason
    return HoldReason.NONE


def test_a_smooth_chunk_from_rest_passes() -> None:
    assert CHECK.check(first_chunk(), RESTING) == ""


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"q": np.zeros((1, 6))}, "rows"),
        ({"q": np.zeros((65, 6))}, "rows"),
        ({"q": np.zeros((3, 5))}, "rows"),
        ({"q": np.zeros(6)}, "rows"),
        ({"q": np.full((3, 6), np.nan)}, "not finite"),
        ({"q": np.full((3, 6), np.inf)}, "not finite"),
        ({"step_s": 0.0}, "steps take"),
        ({"step_s": 0.6}, "steps take"),
        ({"step_s": float("nan")}, "steps take"),
        ({"after_s": -0.1}, "seam lies at"),
        ({"after_s": float("nan")}, "seam lies at"),
        ({"after_s": float("inf")}, "seam lies at"),
        ({"chunk_id": 0}, "cannot come after"),
        ({"chunk_id": 3, "after_id": 3}, "cannot come after"),
        ({"after_id": -1}, "cannot come after"),
    ],
)
def test_what_has_no_form_is_refused(fields: dict[str, Any], phrase: str) -> None:
    assert phrase in CHECK.check(first_chunk(**fields), RESTING)


@pytest.mark.parametrize(
    ("rows", "step_s", "name"),
    [
        (swing(5, 3.0, 20), 0.05, "joint_speed of joint 5"),
        (swing(5, 0.5, 3), 0.05, "joint_acceleration of joint 5"),
        (swing(5, -5.6, 60), 0.1, "joint_position of joint 5"),
        (swing(0, -0.9, 10), 0.05, "tcp_speed"),
        (swing(4, 1.6, 60), 0.05, "singular"),
        (swing(1, 0.9, 20), 0.2, "workspace along z"),
    ],
)
def test_each_limit_on_the_way_is_named(rows: Vector, step_s: float, name: str) -> None:
    wrong = CHECK.check(first_chunk(rows, step_s=step_s), RESTING)

    assert name in wrong
    assert "behind the seam" in wrong


def test_jerk_is_judged() -> None:
    strict = replace_limits(joint_jerk_radps3=(60.0,) * 6)

    assert "joint_jerk of joint 5" in strict.check(first_chunk(), RESTING)


def replace_limits(**fields: Any) -> GuardedChunkCheck:
    return GuardedChunkCheck(SAFETY.model_copy(update=fields), TOOL, PERIOD_S)


def test_a_thin_zone_in_the_middle_of_the_way_is_found() -> None:
    rows = swing(0, -0.8, 24)
    middle = compute_base_from_tcp(HOME_Q + np.array([-0.4, 0, 0, 0, 0, 0]), TOOL)
    wall = BoxZone(
        kind="box",
        name="pane",
        keeps_out=("tool", "fingers"),
        centre_m=tuple(middle.position_m.tolist()),
        half_m=(0.002, 0.002, 0.15),
    )
    tip = ToolCapsule(
        name="pads",
        group="fingers",
        from_m=(0.0, 0.0, -0.05),
        to_m=(0.0, 0.0, 0.0),
        radius_m=0.02,
    )
    guarded = replace_limits(zones=(wall,), tool=(tip,))

    assert CHECK.check(first_chunk(rows), RESTING) == ""
    assert "keep_out_zone" in guarded.check(first_chunk(rows), RESTING)


def test_the_part_in_the_fingers_is_kept_clear_of_things_as_well() -> None:
    rows = swing(0, -0.8, 24)
    middle = compute_base_from_tcp(HOME_Q + np.array([-0.4, 0, 0, 0, 0, 0]), TOOL)
    place_m = middle.position_m - [0.0, 0.0, 0.06]
    post = BoxZone(
        kind="box",
        name="post",
        keeps_out=("part",),
        centre_m=tuple(place_m.tolist()),
        half_m=(0.01, 0.01, 0.02),
    )
    guarded = replace_limits(zones=(post,))

    empty = guarded.check(first_chunk(rows), RESTING)
    guarded.attach(0.04, 0.05)
    loaded = guarded.check(first_chunk(rows), RESTING)
    guarded.attach(0.0, 0.0)

    assert empty == ""
    assert "keep_out_zone" in loaded
    assert "part" in loaded
    assert guarded.check(first_chunk(rows), RESTING) == ""


def joining(seam_s: float, shift_rad: float, rows: Vector | None = None) -> Any:
    """Return a path under way, and a chunk that leaves it with its first row off."""
    before = TimedPath.through(
        np.vstack([HOME_Q, np.zeros((2, 6))]), swing(5, 0.6, 16), STEP_S
    )
    first = round(seam_s / STEP_S)
    later = swing(5, 0.6, 16)[first - 1 :] if rows is None else rows
    q = later.copy()
    q[0, 5] += shift_rad
    return before, TimedChunk(2, 1, first * STEP_S, STEP_S, q)


def test_a_chunk_that_goes_on_as_before_joins_in_motion() -> None:
    before, chunk = joining(0.4, 0.0)

    assert np.abs(before.sample(chunk.after_s)[1]).max() > 0.5
    assert CHECK.check(chunk, before) == ""


@pytest.mark.parametrize(
    ("shift_rad", "is_good"),
    [(0.98 * SEAM_JUMP_RAD, True), (1.02 * SEAM_JUMP_RAD, False), (np.pi, False)],
)
def test_a_jump_at_the_seam_is_refused(shift_rad: float, is_good: bool) -> None:
    before, chunk = joining(0.4, shift_rad)

    wrong = CHECK.check(chunk, before)

    if is_good:
        assert wrong == ""
    else:
        assert "jumps by" in wrong
        assert "joint 5 at the seam" in wrong


def test_a_turn_back_at_full_speed_is_refused() -> None:
    before, chunk = joining(0.4, 0.0)
    here = before.sample(chunk.after_s)[0]
    back = np.vstack([here, *(here - k * 0.05 * np.eye(6)[5] for k in (1, 2, 3))])

    wrong = CHECK.check(replace(chunk, q=back), before)

    assert "of joint 5" in wrong


def test_a_seam_at_the_very_begin_of_a_path_is_refused() -> None:
    before, chunk = joining(0.4, 0.0)
    early_s = EARLIEST_SEAM_CYCLES * PERIOD_S

    too_early = CHECK.check(replace(chunk, after_s=0.99 * early_s), before)
    in_time = CHECK.check(
        replace(chunk, after_s=early_s, q=first_chunk().q[:2]), before
    )

    assert "less than" in too_early
    assert in_time == ""


@pytest.mark.parametrize("seed", range(40))
def test_what_passes_the_guard_grants_and_what_does_not_it_refuses(seed: int) -> None:
    draw = np.random.default_rng(seed)
    joint = int(draw.integers(6))
    reach_rad = float(draw.uniform(-1.2, 1.2))
    rows = swing(joint, reach_rad, int(draw.integers(4, 24)))
    rows += draw.normal(0.0, 1.0, rows.shape) * draw.choice([0.0, 1e-4, 1e-3])

    wrong = CHECK.check(first_chunk(rows), RESTING)

    path = TimedPath.through(np.vstack([HOME_Q, np.zeros((2, 6))]), rows, STEP_S)
    reason = vet_all(path)
    if wrong:
        assert wrong.startswith(reason.name.lower())
    else:
        assert reason is HoldReason.NONE
