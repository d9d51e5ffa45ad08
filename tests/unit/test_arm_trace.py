"""The instrument of the kill storm: what it must not miss."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cell.mailbox.seqlock import Mailbox
from sim2real.faults.arm_trace import (
    ArmRecorder,
    Sample,
    find_first_motion,
    find_last_motion,
    is_moving,
)
from sim2real.virtual_cell.links import JOINT_STATE, JOINT_TARGET
from tests.stress.kill_storm import KillRecord, find_misses

MS = 1_000_000
STEP_NS = 2 * MS
END_NS = 800 * MS


def make_trace(
    *stretches: tuple[int, int, float], claimed: float | None = None
) -> list[Sample]:
    """Return a second of samples in which joint 0 moves at the given speeds.

    Args:
        stretches: first and last moment [ms] and speed [rad/s] of each motion.
        claimed: speed that the records claim, the true one by default [rad/s].
    """
    samples, q = [], 0.0
    for now_ns in range(-100 * MS, 1000 * MS, STEP_NS):
        speed = sum(v for t0, t1, v in stretches if t0 * MS < now_ns <= t1 * MS)
        q += speed * STEP_NS / 1e9
        joints = np.array([q, 0.0, 0.0, 0.0, 0.0, 0.0])
        samples.append(Sample(now_ns, joints, speed if claimed is None else claimed))
    return samples


def test_a_motion_that_ends_is_timed() -> None:
    trace = make_trace((-100, 150, 1.0))

    assert is_moving(trace, 0)
    assert find_last_motion(trace, 0, END_NS) == 150 * MS


def test_an_arm_that_stands_has_no_motion() -> None:
    trace = make_trace()

    assert not is_moving(trace, 0)
    assert find_last_motion(trace, 0, END_NS) is None
    assert find_first_motion(trace, 0, END_NS) is None


def test_an_arm_that_stood_at_the_signal_and_moves_later_is_seen() -> None:
    trace = make_trace((300, 400, 1.0))

    assert not is_moving(trace, 0)
    assert find_last_motion(trace, 0, END_NS) == 400 * MS
    assert find_first_motion(trace, 200 * MS, END_NS) == 302 * MS


@pytest.mark.parametrize("speed", [0.01, -0.01])
def test_an_arm_that_creeps_below_the_speed_of_rest_is_seen(speed: float) -> None:
    trace = make_trace((-100, 1000, speed))

    last_ns = find_last_motion(trace, 0, END_NS)

    assert last_ns is not None
    assert last_ns > 500 * MS
    assert find_first_motion(trace, 200 * MS, END_NS) is not None


def test_motion_is_seen_although_the_record_claims_none() -> None:
    trace = make_trace((-100, 300, 1.0), claimed=0.0)

    last_ns = find_last_motion(trace, 0, END_NS)

    assert last_ns is not None
    assert last_ns == pytest.approx(300 * MS, abs=4 * MS)


def test_a_stopped_controller_that_left_its_speed_behind_does_not_move() -> None:
    trace = make_trace((-100, 0, 1.0))
    left = [Sample(s.seen_ns, s.q, 1.0) for s in trace]

    assert find_last_motion(left, 2 * MS, END_NS) is None
    assert find_first_motion(left, 2 * MS, END_NS) is None


def test_the_recorder_sees_every_new_record_of_both_sides(tmp_path: Path) -> None:
    target = Mailbox.open(tmp_path / "vc_joint_target", JOINT_TARGET)
    state = Mailbox.open(tmp_path / "vc_joint_state", JOINT_STATE)
    with ArmRecorder(tmp_path) as arm:
        for mailbox, dtype in ((target, JOINT_TARGET), (state, JOINT_STATE)):
            record = np.zeros((), dtype)
            record["q"], record["qd"] = 0.5, -0.25
            mailbox.write(record)
        while not (arm.targets and arm.states):
            pass
    target.close()
    state.close()

    assert [s.speed_radps for s in (*arm.targets, *arm.states)] == [0.25, 0.25]
    assert (arm.targets[0].q == 0.5).all()


GOOD = KillRecord(
    target="servo",
    state_before="EXECUTE",
    signal_name="SIGKILL",
    moving=True,
    rest_ms=150.0,
    stand_ms=200.0,
    killed_again="",
    state_after="ABORTED",
    recovery_s=3.0,
    self_resumed=False,
)


@pytest.mark.parametrize(
    ("fields", "is_missed"),
    [
        ({}, False),
        ({"rest_ms": 201.0}, True),
        ({"rest_ms": 201.0, "moving": False}, True),
        ({"stand_ms": 351.0}, True),
        ({"self_resumed": True}, True),
    ],
)
def test_a_kill_misses_its_bar_by_any_of_its_figures(
    fields: dict[str, Any], is_missed: bool
) -> None:
    record = replace(GOOD, **fields)

    assert bool(find_misses([record], 200.0)) is is_missed


@pytest.mark.parametrize(
    ("first_order_rad", "last_ms"), [(0.12, 98), (0.17, 500), (0.07, 500)]
)
def test_a_new_controller_begins_where_the_arm_stands_and_moves_nothing_by_it(
    first_order_rad: float, last_ms: int
) -> None:
    # The old one died in motion; the arm ran on a little by itself, to 0.12 rad.
    states = make_trace((-100, 120, 0.12 / 0.22))
    before = [s for s in make_trace((-100, 99, 0.5)) if s.seen_ns < 100 * MS]
    after = [
        Sample(t * MS, np.array([first_order_rad, 0.0, 0.0, 0.0, 0.0, 0.0]), 0.0)
        for t in range(500, 800, 2)
    ]

    last_ns = find_last_motion([*before, *after], 0, END_NS, states=states)

    assert last_ns == last_ms * MS
