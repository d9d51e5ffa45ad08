"""The check of a chunk with a pace: every bound at its edge, and each cycle it walks.

The kernel that vets a setpoint is replaced by one that writes down what it was asked.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.kinematics.timed_path import TimedPath, fill_path_point
from safety import timed_chunk
from safety.timed_chunk import GuardedChunkCheck, find_chunk_flaw, walk_path
from safety.verdicts import grant, refuse
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
NOTHING: Any = grant(int(HoldReason.JOINT_SPEED), 0.5, 1.5, 3)


def test_the_numbers_of_the_check_are_those_that_were_signed_off() -> None:
    assert timed_chunk.SEAM_JUMP_RAD == 0.05
    assert timed_chunk._CYCLES_BEFORE == 2
    assert timed_chunk.EARLIEST_SEAM_CYCLES == 5


# --- the form ------------------------------------------------------------------------


def chunk(**fields: Any) -> TimedChunk:
    facts: dict[str, Any] = {
        "chunk_id": 2,
        "after_id": 1,
        "after_s": 0.3,
        "step_s": 0.05,
        "q": np.zeros((3, 6)),
    }
    return TimedChunk(**(facts | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"q": np.zeros((2, 6))},
        {"q": np.zeros((64, 6))},
        {"step_s": 0.01},
        {"step_s": 0.5},
        {"after_s": 0.0},
        {"after_id": 0},
        {"chunk_id": 9},
    ],
)
def test_what_has_the_form_of_a_chunk_has_no_flaw(fields: Any) -> None:
    assert find_chunk_flaw(chunk(**fields)) == ""


@pytest.mark.parametrize("shape", [(1, 6), (65, 6), (3, 5), (3, 7), (6,), (3, 6, 2)])
def test_rows_have_a_shape(shape: Any) -> None:
    wanted = f"its rows have the shape {shape}, not (2 to 64, 6)"

    assert find_chunk_flaw(chunk(q=np.zeros(shape))) == wanted


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_none_is_a_flaw(value: Any) -> None:
    rows = np.zeros((3, 6))
    rows[2, 4] = value

    assert find_chunk_flaw(chunk(q=rows)) == "it is not finite"


@pytest.mark.parametrize(
    "step_s", [math.nextafter(0.01, 0.0), math.nextafter(0.5, 1.0), math.nan, -0.05]
)
def test_steps_take_a_time(step_s: Any) -> None:
    wanted = f"its steps take {step_s} s, not 0.01 to 0.5"

    assert find_chunk_flaw(chunk(step_s=step_s)) == wanted


@pytest.mark.parametrize("after_s", [-1e-300, math.inf, math.nan])
def test_a_seam_lies_at_a_time(after_s: Any) -> None:
    assert find_chunk_flaw(chunk(after_s=after_s)) == f"its seam lies at {after_s} s"


@pytest.mark.parametrize(("chunk_id", "after_id"), [(2, 2), (1, 2), (2, -1), (0, 0)])
def test_chunks_have_an_order(chunk_id: Any, after_id: Any) -> None:
    found = find_chunk_flaw(chunk(chunk_id=chunk_id, after_id=after_id))

    assert found == f"chunk {chunk_id} cannot come after chunk {after_id}"


# --- the seam ------------------------------------------------------------------------


class Walk:
    """Stands in for the kernel that walks; answers as told."""

    def __init__(self, monkeypatch: Any) -> None:
        self.asked: list[Any] = []
        self.answer: Any = (0.7, NOTHING)
        monkeypatch.setattr(timed_chunk, "walk_path", self._walk)
        self.made = GuardedChunkCheck(SAFETY, TOOL, PERIOD_S)

    def _walk(self, *asked: Any) -> Any:
        self.asked.append(asked)
        return self.answer


@pytest.fixture
def walk(monkeypatch: Any) -> Walk:
    return Walk(monkeypatch)


RESTING = TimedPath.at_rest(np.zeros(6))


def moving(duration_s: float = 1.0) -> TimedPath:
    """A path whose state differs in every element and at every time."""
    knots = np.linspace(0.1, 0.9, 54).reshape(3, 3, 6)
    return TimedPath(np.array([0.0, 0.4, 1.0]) * duration_s, knots)


def test_it_is_compiled_while_nothing_moves(walk: Walk) -> None:
    ((times_before, knots_before, seam_s, times, knots, limits, around),) = walk.asked

    assert times_before.tolist() == times.tolist() == [0.0]
    assert knots_before.tolist() == knots.tolist() == np.zeros((1, 3, 6)).tolist()
    assert seam_s == 0.0
    assert limits["period_s"].tolist() == [PERIOD_S]
    assert limits["joint_speed_radps"].tolist() == [list(SAFETY.joint_speed_radps)]
    assert len(around.radius) == 9


def test_what_has_a_flaw_is_not_walked(walk: Walk) -> None:
    walk.asked.clear()

    assert walk.made.check(chunk(step_s=0.6), RESTING).startswith("its steps take")
    assert walk.asked == []


def test_a_chunk_is_walked_from_where_it_leaves_the_path_before(walk: Walk) -> None:
    before = moving()
    start = before.sample(0.3)
    rows = start[0] + np.linspace(0.0, 0.04, 24).reshape(4, 6)
    walk.asked.clear()

    assert walk.made.check(chunk(q=rows), before) == ""

    ((times_before, knots_before, seam_s, times, knots, *_),) = walk.asked
    wanted = TimedPath.through(start, rows[1:], 0.05)
    assert (times_before == before.times_s).all()
    assert (knots_before == before.knots).all()
    assert seam_s == 0.3
    assert (times == wanted.times_s).all()
    assert (knots == wanted.knots).all()


def test_a_chunk_is_walked_with_the_part_in_the_fingers(walk: Walk) -> None:
    walk.made.attach(0.03, 0.1)
    walk.asked.clear()

    walk.made.check(chunk(), RESTING)

    ((*_, around),) = walk.asked
    assert around.radius[-1] == 0.03
    assert around.ends[-1].tolist() == [
        [0.0, 0.0, TOOL_Z_M],
        [0.0, 0.0, TOOL_Z_M + 0.1],
    ]


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_first_row_may_be_a_little_off(walk: Walk, joint: Any, sign: Any) -> None:
    at_edge, beyond = np.zeros((3, 6)), np.zeros((3, 6))
    at_edge[0, joint] = sign * 0.05
    beyond[0, joint] = sign * math.nextafter(0.05, 1.0)
    far = np.zeros((3, 6))
    far[0, joint] = sign * 0.0634

    assert walk.made.check(chunk(q=at_edge), RESTING) == ""
    assert walk.made.check(chunk(q=beyond), RESTING) != ""
    assert walk.made.check(chunk(q=far), RESTING) == (
        f"it jumps by 0.063 rad in joint {joint} at the seam, 0.05 are allowed"
    )


def test_the_gap_is_that_from_where_the_path_is_at_the_seam(walk: Walk) -> None:
    before = moving()
    rows = np.tile(before.sample(0.3)[0], (3, 1))
    elsewhere = rows + np.eye(6)[3] * np.array([[0.0], [0.2], [0.2]])

    assert walk.made.check(chunk(q=elsewhere), before) == ""
    rows[0, 3] += 0.2
    assert "jumps by 0.200 rad in joint 3" in walk.made.check(chunk(q=rows), before)


def test_a_path_that_is_nowhere_is_a_jump(walk: Walk) -> None:
    nowhere = TimedPath.at_rest(np.full(6, np.nan))

    assert walk.made.check(chunk(), nowhere).startswith("it jumps by nan rad")


@pytest.mark.parametrize("duration_s", [1.0, 0.05])
def test_a_seam_lies_some_cycles_into_the_path_that_it_leaves(
    walk: Walk, duration_s: Any
) -> None:
    before = moving(duration_s)
    earliest_s = 5 * PERIOD_S
    too_early_s = math.nextafter(earliest_s, 0.0)

    def check(after_s: float) -> str:
        rows = np.tile(before.sample(after_s)[0], (3, 1))
        return walk.made.check(chunk(q=rows, after_s=after_s), before)

    assert check(earliest_s) == ""
    wanted = "its seam lies less than 0.010 s into the path it leaves"
    assert check(too_early_s) == wanted
    assert check(0.0) == wanted


def test_from_rest_a_chunk_may_begin_at_once(walk: Walk) -> None:
    assert walk.made.check(chunk(after_s=0.0), RESTING) == ""


class Teller:
    """Stands in for the guard that says what is wrong."""

    def __init__(self) -> None:
        self.told: list[Verdict] = []

    def describe(self, verdict: Verdict) -> str:
        self.told.append(verdict)
        return "refused"


@pytest.mark.parametrize(
    ("time_s", "place"),
    [
        (-0.002, "at the seam"),
        (0.0, "0.00 s behind the seam"),
        (0.05, "0.05 s behind the seam"),
        (0.4567, "0.46 s behind the seam"),
    ],
)
def test_a_refusal_says_what_and_where(walk: Walk, time_s: Any, place: Any) -> None:
    teller: Any = Teller()
    walk.made._guard = teller
    before = moving()
    start = before.sample(0.3)
    walk.answer = (time_s, (int(HoldReason.TCP_SPEED), -0.25, 1.75, 4, 0.1))

    wrong = walk.made.check(chunk(q=np.tile(start[0], (3, 1))), before)

    assert wrong == f"refused, {place}"
    (told,) = teller.told
    assert (told.q == start[0]).all()
    assert told.reason is HoldReason.TCP_SPEED
    assert (told.margin, told.value, told.item) == (-0.25, 1.75, 4)


def test_its_own_guard_finds_the_words(walk: Walk) -> None:
    walk.answer = (0.1, (int(HoldReason.WORKSPACE), -0.25, 1.75, 2, 0.1))

    assert walk.made.check(chunk(), RESTING) == (
        "workspace along z: 1.75 m, 0.10 s behind the seam"
    )


# --- the walk, cycle by cycle --------------------------------------------------------

plain_walk: Any = getattr(walk_path, "py_func", walk_path)
"""As it was written, so that the kernels that it calls can be replaced."""

MOST_CALLS = 500
START_NS = 1_000_000_000


class Cycles:
    """Stands in for the guard's kernel; may refuse one of the cycles."""

    def __init__(self, monkeypatch: Any, refused: int = -1) -> None:
        self.places: list[Any] = []
        self.setpoints: list[Any] = []
        self.times: list[Any] = []
        self.first: Any = None
        self._refused = refused
        monkeypatch.setattr(timed_chunk, "fill_path_point", self._fill)
        monkeypatch.setattr(timed_chunk, "vet_setpoint", self._vet)

    def _fill(self, times_s: Any, knots: Any, time_s: float, point: Any) -> None:
        assert point.shape == (3, 6)
        self.places.append((len(times_s), time_s))
        fill_path_point(times_s, knots, time_s, point)

    def _vet(
        self, was: Any, q: Any, wrench: Any, times: Any, limits: Any, *rest: Any
    ) -> Any:
        around, now = rest
        assert (around, len(limits)) == ("around", 1)
        assert was.shape == now.shape == (1,)
        assert was is not now
        assert q.shape == wrench.shape == (6,)
        assert not wrench.any()
        assert len(self.times) < MOST_CALLS
        if self.first is None:
            self.first = was.copy()
        else:
            assert was["item"][0] == len(self.times)
        self.setpoints.append(q.copy())
        self.times.append(times)
        now["item"] = len(self.times)
        if len(self.times) - 1 == self._refused:
            return refuse(int(HoldReason.JOINT_JERK), 0.0, 3.0, 2)
        return NOTHING


BEFORE = moving()
AFTER = TimedPath(
    np.array([0.0, 0.003, 0.005, 0.0105]), np.linspace(2.0, 3.0, 72).reshape(4, 3, 6)
)
SEAM_S = 0.3
STEP_S = 0.002
LIMITS = np.array([(STEP_S,)], [("period_s", "<f8")])


def walk_all(limits: Any = LIMITS) -> Any:
    return plain_walk(
        BEFORE.times_s,
        BEFORE.knots,
        SEAM_S,
        AFTER.times_s,
        AFTER.knots,
        limits,
        "around",
    )


def test_it_walks_from_a_cycle_before_the_seam_to_one_of_rest(monkeypatch: Any) -> None:
    cycles = Cycles(monkeypatch)

    time_s, found = walk_all()

    assert (time_s, found) == (0.0105, NOTHING)
    known = [(3, SEAM_S + cycle * STEP_S) for cycle in (-4, -3, -2, -1, 0)]
    new = [(4, cycle * STEP_S) for cycle in range(1, 8)]
    assert cycles.places == known + new
    places = [BEFORE.sample(SEAM_S + cycle * STEP_S)[0] for cycle in (-1, 0)]
    places += [AFTER.sample(cycle * STEP_S)[0] for cycle in range(1, 8)]
    assert np.array(cycles.setpoints).tolist() == np.array(places).tolist()


def test_each_cycle_is_a_period_later_and_everything_is_fresh(monkeypatch: Any) -> None:
    cycles = Cycles(monkeypatch)

    walk_all()

    stamps = [START_NS + 2_000_000 * (k + 1) for k in range(9)]
    assert cycles.times == [(stamp,) * 3 for stamp in stamps]


def test_a_period_is_whole_nanoseconds(monkeypatch: Any) -> None:
    cycles = Cycles(monkeypatch)
    third = 1.0 / 300.0

    walk_all(np.array([(third,)], [("period_s", "<f8")]))

    assert cycles.times[0] == (START_NS + 3_333_333,) * 3


def test_the_guard_begins_with_the_motion_before_the_seam(monkeypatch: Any) -> None:
    cycles = Cycles(monkeypatch)

    walk_all()

    was = cycles.first[0]
    three = [BEFORE.sample(SEAM_S + cycle * STEP_S)[0] for cycle in (-4, -3, -2)]
    speeds = [(b - a) / STEP_S for a, b in itertools.pairwise(three)]
    assert was["q"].tolist() == three[-1].tolist()
    assert was["qd"].tolist() == speeds[-1].tolist()
    assert was["qdd"].tolist() == ((speeds[1] - speeds[0]) / STEP_S).tolist()
    assert was["vetted_ns"] == START_NS
    assert was["scale"] == 1.0
    assert was["reason"] == HoldReason.NONE


@pytest.mark.parametrize(
    ("refused", "time_s"), [(0, -STEP_S), (1, 0.0), (2, STEP_S), (8, 7 * STEP_S)]
)
def test_it_stops_at_what_the_guard_refuses(
    monkeypatch: Any, refused: Any, time_s: Any
) -> None:
    cycles = Cycles(monkeypatch, refused)

    found_s, found = walk_all()

    assert found_s == time_s
    assert found == refuse(int(HoldReason.JOINT_JERK), 0.0, 3.0, 2)
    assert len(cycles.times) == refused + 1


def test_the_compiled_walk_is_the_same() -> None:
    made = GuardedChunkCheck(SAFETY, TOOL, PERIOD_S)
    resting = TimedPath.at_rest(HOME_Q)
    rows = np.tile(HOME_Q, (2, 1))
    rows[1, 5] += 1e-4
    away = TimedPath.through(resting.sample(0.0), rows[1:], 0.01)
    asked = (resting.times_s, resting.knots, 0.0, away.times_s, away.knots)

    time_s, found = walk_path(*asked, made._limits, made._around)

    assert (time_s, found[0]) == (away.times_s[-1], HoldReason.NONE)
    assert (time_s, found) == plain_walk(*asked, made._limits, made._around)
