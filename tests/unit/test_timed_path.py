"""A timed path passes its rows, is smooth everywhere, and ends at rest."""

import numpy as np
import pytest

from cell.contracts.geometry import Vector
from cell.kinematics.timed_path import TimedPath

STEP_S = 0.05
START = np.zeros((3, 6))


def swing(rows: int = 12) -> Vector:
    """Return rows that begin and go on smoothly in two joints."""
    times = np.arange(1, rows + 1) * STEP_S
    q = np.zeros((rows, 6))
    q[:, 0] = 0.3 * (1.0 - np.cos(3.0 * times))
    q[:, 4] = -0.2 * (1.0 - np.cos(2.0 * times))
    return q


def sample_all(path: TimedPath, step_s: float = 1e-4) -> tuple[Vector, Vector]:
    count = int(path.duration_s / step_s) + 20
    times = np.asarray(np.arange(-10, count) * step_s, dtype=np.float64)
    return times, np.array([path.sample(time) for time in times])


def test_it_passes_every_row_at_its_time() -> None:
    rows = swing()
    path = TimedPath.through(START, rows, STEP_S)

    passed = [path.sample((k + 1) * STEP_S)[0] for k in range(len(rows))]

    assert np.allclose(passed, rows, atol=1e-12)


def test_velocity_and_acceleration_are_those_of_the_position() -> None:
    path = TimedPath.through(START, swing(), STEP_S)

    times, points = sample_all(path)
    speed = np.gradient(points[:, 0], times, axis=0)
    rate = np.gradient(points[:, 1], times, axis=0)

    assert np.abs(speed - points[:, 1]).max() < 1e-3
    assert np.abs(rate - points[:, 2]).max() < 5e-2


def test_position_velocity_and_acceleration_never_jump() -> None:
    path = TimedPath.through(START, swing(), STEP_S)

    _times, points = sample_all(path)

    steps = np.abs(np.diff(points, axis=0)).max(axis=(0, 2))
    assert steps[0] < 2e-4
    assert steps[1] < 2e-3
    assert steps[2] < 5e-2


def test_it_ends_at_rest_and_stays_there() -> None:
    path = TimedPath.through(START, swing(), STEP_S)

    end, later = path.sample(path.duration_s), path.sample(path.duration_s + 9.0)

    assert not end[1:].any()
    assert (end == later).all()
    assert path.duration_s > len(swing()) * STEP_S


def test_a_path_that_leaves_another_begins_with_its_motion() -> None:
    first = TimedPath.through(START, swing(), STEP_S)
    seam = first.sample(0.23)

    second = TimedPath.through(seam, seam[0] + swing(4), STEP_S)

    assert seam[1].any()
    assert np.allclose(second.sample(0.0), seam, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("time_s", [-1.0, 0.0, 3.0, float("nan")])
def test_at_rest_it_stays_where_it_is(time_s: float) -> None:
    q = np.arange(6.0)

    point = TimedPath.at_rest(q).sample(time_s)

    assert (point[0] == q).all()
    assert not point[1:].any()
