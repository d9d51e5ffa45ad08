"""Chunks reach the arm checked whole, and joined by what was measured."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason, ServoCommand, ServoState
from cell.kinematics.timed_path import TimedPath
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.chunk_feed import LEAD_S, ChunkFeed, Consumption
from cell.supervisor.motion_client import MotionClient
from safety.timed_chunk import GuardedChunkCheck
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, find_breaches
from tests.unit.servo.servo_rig import TOOL, ServoRig, armed_rig
from tests.unit.supervisor.lagging_arm import LIMITS

STEP_S = 0.05
WRIST = np.eye(6)[5]
CHECK = GuardedChunkCheck(SAFETY, TOOL, PERIOD_S)


class Check:
    """The real check, for tests to do something else in."""

    def attach(self, radius_m: float, length_m: float) -> None:
        CHECK.attach(radius_m, length_m)


class Cell:
    """A motion client whose orders a real servo session follows, on one fake clock."""

    def __init__(self, check: Any = CHECK) -> None:
        self.rig: ServoRig = armed_rig()
        self.rig.vouches = False
        self.motion = MotionClient(self, self, LIMITS)
        self.motion.hold()
        self.run_s(0.01)
        self.feed = ChunkFeed(self.motion, check)

    def now_ns(self) -> int:
        return self.rig.now_ns

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        while self.rig.now_ns < deadline_ns:
            self.run_s(PERIOD_S)
        await asyncio.sleep(0)

    def write_command(self, command: ServoCommand) -> None:
        self.rig.port.command = command

    def read_command(self) -> ServoCommand | None:
        return self.rig.port.command

    def read_state(self) -> ServoState | None:
        return self.rig.port.states[-1] if self.rig.port.states else None

    def run_s(self, duration_s: float) -> ServoState:
        for _ in range(round(duration_s / PERIOD_S)):
            self.motion.vouch()
            self.rig.step()
        self.motion.refresh()
        return self.rig.state

    def breaches(self) -> list[Any]:
        sent = self.rig.arm.sent
        return find_breaches(np.vstack([sent[:1], np.array(sent)]))


def swing_at(times_s: Any, reach_rad: float = 0.6, long_s: float = 0.8) -> Vector:
    """Return where a swing of the wrist that began at 0 is at some times."""
    ratio = np.clip(times_s / long_s, 0.0, 1.0)
    shape = ratio**3 * (10.0 - 15.0 * ratio + 6.0 * ratio**2)
    return np.asarray(HOME_Q + reach_rad * shape[:, None] * WRIST)


def rows_from(observed_s: float, rows: int = 12, **fields: float) -> Vector:
    """Return what a policy answers to an observation in the middle of the swing."""
    times_s = observed_s + np.arange(1, rows + 1) * STEP_S
    return swing_at(times_s, **fields)


def test_a_first_chunk_sets_out_from_rest_and_is_finished() -> None:
    cell = Cell()

    assert cell.feed.begin(rows_from(0.0, 16), STEP_S) == ""
    asyncio.run(cell.feed.finish())

    assert cell.rig.arm.sent[-1] == pytest.approx(HOME_Q + 0.6 * WRIST, abs=1e-3)
    assert cell.breaches() == []


def test_chunks_join_without_a_trace_when_the_policy_stays_its_mind() -> None:
    cell = Cell()
    assert cell.feed.begin(rows_from(0.0), STEP_S) == ""
    started = len(cell.rig.arm.sent)
    joined = 0
    for _ in range(4):
        cell.run_s(0.03)
        seen = cell.feed.measure()
        seen_s = (len(cell.rig.arm.sent) - started) * PERIOD_S
        cell.run_s(0.07)
        joined += cell.feed.extend(rows_from(seen_s), STEP_S, seen) == ""

    asyncio.run(cell.feed.finish())

    path = np.array(cell.rig.arm.sent[started:])
    times_s: Any = np.arange(1, len(path) + 1) * PERIOD_S
    assert joined == 4
    assert np.abs(path - swing_at(times_s)).max() < 2e-3
    assert cell.breaches() == []


def test_rows_that_are_over_are_dropped_by_measured_consumption() -> None:
    sent: list[tuple[TimedChunk, TimedPath]] = []

    class Recorder(Check):
        def check(self, chunk: TimedChunk, before: TimedPath) -> str:
            sent.append((chunk, before))
            return ""

    cell = Cell(Recorder())
    cell.feed.begin(rows_from(0.0), STEP_S)
    cell.run_s(0.2)
    seen = cell.feed.measure()
    # The line asks for less speed: the clock says 0.3 s, the arm consumed less.
    cell.motion.speed_limit_ratio = 0.1
    cell.run_s(0.3)
    now = cell.feed.measure()
    rows = rows_from(seen.time_s)

    assert cell.feed.extend(rows, STEP_S, seen) == ""

    chunk, before = sent[-1]
    elapsed_s = now.time_s - seen.time_s
    first = int(np.searchsorted(np.arange(1, 13) * STEP_S, elapsed_s + LEAD_S))
    assert elapsed_s < 0.25
    assert (chunk.q == rows[first:]).all()
    assert chunk.after_s == pytest.approx(seen.time_s + (first + 1) * STEP_S)
    assert chunk.after_s - now.time_s >= LEAD_S
    assert np.allclose(before.sample(chunk.after_s)[0], chunk.q[0], atol=1e-3)


def test_an_observation_during_the_chunk_before_still_counts() -> None:
    cell = Cell()
    cell.feed.begin(rows_from(0.0), STEP_S)
    cell.run_s(0.1)
    early = cell.feed.measure()
    assert cell.feed.extend(rows_from(early.time_s), STEP_S, early) == ""
    cell.run_s(0.1)
    now = cell.feed.measure()

    assert now.chunk_id != early.chunk_id
    assert cell.feed.extend(rows_from(early.time_s), STEP_S, early) == ""
    cell.run_s(0.1)
    assert cell.rig.state.hold_reason is HoldReason.NONE
    assert cell.breaches() == []


@pytest.mark.parametrize(
    ("spoil", "phrase"),
    [
        (lambda rows: rows + 0.2 * WRIST, "jumps by"),
        (lambda rows: rows * np.nan, "not finite"),
        (lambda rows: rows[:3], "too late"),
        (lambda rows: rows + np.arange(12)[:, None] * 0.3 * WRIST, "joint 5"),
    ],
)
def test_a_bad_chunk_is_not_sent_and_the_arm_follows_the_one_before(
    spoil: Callable[[Vector], Vector], phrase: str
) -> None:
    cell = Cell()
    cell.feed.begin(rows_from(0.0, 16), STEP_S)
    cell.run_s(0.2)
    seen = cell.feed.measure()
    cell.run_s(0.1)

    wrong = cell.feed.extend(spoil(rows_from(seen.time_s)), STEP_S, seen)
    asyncio.run(cell.feed.finish())

    assert phrase in wrong
    assert cell.rig.arm.sent[-1] == pytest.approx(HOME_Q + 0.6 * WRIST, abs=1e-3)
    assert cell.breaches() == []


def test_a_check_that_takes_too_long_sends_nothing() -> None:
    cell = Cell()

    class Slow(Check):
        def check(self, chunk: TimedChunk, before: TimedPath) -> str:
            if chunk.after_id:
                cell.run_s(0.1)
            return CHECK.check(chunk, before)

    cell.feed = ChunkFeed(cell.motion, Slow())
    cell.feed.begin(rows_from(0.0), STEP_S)
    cell.run_s(0.1)
    seen = cell.feed.measure()

    wrong = cell.feed.extend(rows_from(seen.time_s), STEP_S, seen)

    assert "passed while it was being checked" in wrong
    assert cell.rig.state.hold_reason is HoldReason.NONE


def test_a_chunk_whose_forerunner_is_just_being_begun_is_not_sent() -> None:
    cell = Cell()
    cell.feed.begin(rows_from(0.0, 16), STEP_S)
    cell.run_s(0.1)
    seen = cell.feed.measure()
    assert cell.feed.extend(rows_from(seen.time_s), STEP_S, seen) == ""
    order = cell.rig.port.command
    assert order is not None
    assert order.chunk is not None
    seam_s = order.chunk.after_s

    class Slow(Check):
        """Takes until the seam of the one that waits is two cycles away."""

        def check(self, chunk: TimedChunk, before: TimedPath) -> str:
            while cell.rig.state.chunk_s < seam_s - 2.5 * PERIOD_S:
                cell.run_s(PERIOD_S)
            assert chunk.after_s > seam_s + 0.02
            return CHECK.check(chunk, before)

    cell.feed._check = Slow()
    cell.run_s(0.03)
    wrong = cell.feed.extend(rows_from(seen.time_s), STEP_S, seen)
    asyncio.run(cell.feed.finish())

    assert "just being begun" in wrong
    assert cell.rig.state.hold_reason is HoldReason.NONE
    assert cell.rig.state.reached_id == order.command_id
    assert cell.breaches() == []


def test_a_loaded_arm_has_its_chunks_checked_with_the_part() -> None:
    told: list[tuple[float, float]] = []

    class Watched(Check):
        def attach(self, radius_m: float, length_m: float) -> None:
            told.append((radius_m, length_m))

        def check(self, chunk: TimedChunk, before: TimedPath) -> str:
            return CHECK.check(chunk, before)

    cell = Cell(Watched())
    cell.motion.carries_part = True
    assert cell.feed.begin(rows_from(0.0), STEP_S) == ""

    order = cell.rig.port.command
    assert order is not None
    assert told == [(order.part_radius_m, order.part_length_m)]
    assert told[0][0] > 0.0


@pytest.mark.parametrize(
    ("rows", "step_s", "phrase"),
    [
        (np.zeros((3, 5)), STEP_S, "shape"),
        (np.zeros(6), STEP_S, "shape"),
        (rows_from(0.0), 0.0, "steps take"),
        (rows_from(0.3), STEP_S, "of joint 5"),
        (rows_from(0.0) * np.inf, STEP_S, "not finite"),
    ],
)
def test_what_is_no_first_chunk_moves_nothing(
    rows: Vector, step_s: float, phrase: str
) -> None:
    cell = Cell()

    wrong = cell.feed.begin(rows, step_s)
    cell.run_s(0.1)

    assert phrase in wrong
    assert (np.array(cell.rig.arm.sent) == cell.rig.arm.sent[0]).all()


def test_nothing_is_sent_while_the_arm_moves_or_to_a_feed_that_follows_nothing() -> (
    None
):
    cell = Cell()
    unknown = Consumption(0, 0.0)

    assert "being followed" in cell.feed.extend(rows_from(0.0), STEP_S, unknown)
    cell.feed.begin(rows_from(0.0), STEP_S)
    cell.run_s(0.2)
    assert "rest" in cell.feed.begin(rows_from(0.0), STEP_S)
    assert "long over" in cell.feed.extend(rows_from(0.0), STEP_S, unknown)
    assert "too late" in cell.feed.extend(rows_from(0.0), 0.0, cell.feed.measure())


def test_a_chunk_that_lapsed_is_told_and_not_taken_up_half_way() -> None:
    cell = Cell()
    cell.feed.begin(rows_from(0.0, 16), STEP_S)
    cell.run_s(0.2)
    # The decision loop hangs, and nobody vouches for the order.
    cell.rig.step(150)
    rested = cell.rig.arm.sent[-1]

    with pytest.raises(CauseError) as told:
        asyncio.run(cell.feed.finish())

    assert told.value.cause is Cause.COMMAND_VETOED
    assert "CHUNK_SEAM" in str(told.value)
    assert (cell.rig.arm.sent[-1] == rested).all()
