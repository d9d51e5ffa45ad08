"""Distances of segments to solids, against dense sampling and a physics engine."""

import math
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety import distances

NAN = float("nan")
HALF = np.array([0.3, 0.2, 0.1])


def measure_box(a: Any, b: Any) -> float:
    return distances.measure_box(np.array([a, b]), HALF[None], 0)


def bound_box(a: Any, b: Any) -> float:
    return distances.bound_box(np.array([a, b]), HALF[None], 0)


def measure_cylinder(a: Any, b: Any, radius: float, half_height: float) -> float:
    sizes = np.array([[radius, half_height, 0.0]])
    return distances.measure_cylinder(np.array([a, b]), sizes, 0)


def bound_cylinder(a: Any, b: Any, radius: float, half_height: float) -> float:
    sizes = np.array([[radius, half_height, 0.0]])
    return distances.bound_cylinder(np.array([a, b]), sizes, 0)


def measure_half_space(a: Any, b: Any) -> float:
    return distances.measure_half_space(np.array([a, b]))


def measure_segments(a: Any, b: Any, c: Any, d: Any) -> float:
    return distances.measure_segments(np.array([[a, b], [c, d]]), 0, 1)


coordinate = st.floats(-1.0, 1.0).map(lambda value: round(value, 3))
point = st.tuples(coordinate, coordinate, coordinate).map(np.array)


def sample(a: Any, b: Any, count: int = 2001) -> Any:
    t = np.linspace(0.0, 1.0, count)[:, None]
    return a + t * (b - a)


def outside_box(points: Any) -> Any:
    return np.linalg.norm(np.maximum(np.abs(points) - HALF, 0.0), axis=1)


def outside_cylinder(points: Any, radius: float, half_height: float) -> Any:
    beside = np.maximum(np.hypot(points[:, 0], points[:, 1]) - radius, 0.0)
    above = np.maximum(np.abs(points[:, 2]) - half_height, 0.0)
    return np.hypot(beside, above)


@given(point, point)
def test_a_box_is_as_far_as_the_nearest_sample_of_the_segment(a: Any, b: Any) -> None:
    distance = measure_box(a, b)
    sampled = float(outside_box(sample(a, b)).min())

    # Samples are at most half a step from the nearest point.
    slack = float(np.linalg.norm(b - a)) / 2000 + 1e-12
    assert distance <= sampled + 1e-12
    assert max(distance, 0.0) >= sampled - slack


@given(point, point)
def test_the_quick_bound_is_never_more_than_the_distance(a: Any, b: Any) -> None:
    assert bound_box(a, b) <= max(measure_box(a, b), 0.0) + 1e-12


@given(point, point)
def test_the_quick_bound_of_a_cylinder_is_never_more_than_the_distance(
    a: Any, b: Any
) -> None:
    distance = measure_cylinder(a, b, 0.25, 0.15)

    assert bound_cylinder(a, b, 0.25, 0.15) <= max(distance, 0.0) + 1e-12


@given(point, point)
def test_a_cylinder_is_as_far_as_the_nearest_sample(a: Any, b: Any) -> None:
    distance = measure_cylinder(a, b, 0.25, 0.15)
    sampled = float(outside_cylinder(sample(a, b), 0.25, 0.15).min())

    slack = float(np.linalg.norm(b - a)) / 2000 + 1e-12
    assert distance <= sampled + 1e-9
    assert max(distance, 0.0) >= sampled - slack


@given(point, point, point, point)
def test_segments_are_as_far_as_their_nearest_samples(
    a: Any, b: Any, c: Any, d: Any
) -> None:
    distance = measure_segments(a, b, c, d)
    one, other = sample(a, b, 101), sample(c, d, 101)
    sampled = float(np.linalg.norm(one[:, None] - other[None], axis=2).min())

    slack = (float(np.linalg.norm(b - a)) + float(np.linalg.norm(d - c))) / 200
    assert sampled - slack - 1e-9 <= distance <= sampled + 1e-9


def test_a_segment_inside_a_box_has_to_go_out_by_the_nearest_face() -> None:
    inside = measure_box(np.array([0.0, 0.0, 0.06]), np.array([0.1, 0.0, 0.06]))
    through = measure_box(np.array([0.0, 0.0, -1.0]), np.array([0.0, 0.0, 1.0]))

    assert inside == pytest.approx(-0.04)
    assert through == pytest.approx(-0.2)


def test_a_segment_inside_a_cylinder_has_to_go_out_by_the_nearest_way() -> None:
    low = np.array([0.0, 0.2, -0.05])
    assert measure_cylinder(low, low, 0.25, 0.15) == pytest.approx(-0.05)
    near_top = np.array([0.0, 0.0, 0.13])
    assert measure_cylinder(near_top, near_top, 0.25, 0.15) == pytest.approx(-0.02)
    near_bottom = np.array([0.0, 0.0, -0.12])
    assert measure_cylinder(near_bottom, near_bottom, 0.25, 0.15) == pytest.approx(
        -0.03
    )


def test_a_cylinder_is_measured_above_below_and_beside() -> None:
    def at(x: float, y: float, z: float) -> float:
        place = np.array([x, y, z])
        return measure_cylinder(place, place, 0.25, 0.15)

    assert at(0.1, 0.0, 0.25) == pytest.approx(0.10)
    assert at(0.0, -0.1, -0.25) == pytest.approx(0.10)
    assert at(0.3, 0.4, 0.0) == pytest.approx(0.25)
    assert at(0.0, 0.65, 0.45) == pytest.approx(0.5)


def test_a_half_space_is_as_far_as_the_lower_end() -> None:
    high, low = np.array([0.0, 0.0, 0.4]), np.array([1.0, 0.0, -0.1])

    assert measure_half_space(high, low) == pytest.approx(-0.1)
    assert measure_half_space(low, high) == pytest.approx(-0.1)
    assert measure_half_space(high, high) == pytest.approx(0.4)


def test_parallel_and_pointlike_segments_are_measured_too() -> None:
    zero, x1 = np.zeros(3), np.array([1.0, 0.0, 0.0])
    beside = np.array([0.2, 0.3, 0.0])

    assert measure_segments(zero, x1, beside, beside + x1) == pytest.approx(0.3)
    assert measure_segments(zero, zero, beside, beside) == pytest.approx(
        math.hypot(0.2, 0.3)
    )
    assert measure_segments(zero, x1, beside, beside) == pytest.approx(0.3)
    assert measure_segments(beside, beside, zero, x1) == pytest.approx(0.3)
    assert measure_segments(zero, x1, 3 * x1, 4 * x1) == pytest.approx(2.0)
    assert measure_segments(3 * x1, 4 * x1, zero, x1) == pytest.approx(2.0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_number_gives_no_number(place: int) -> None:
    broken = np.array([0.5, 0.5, 0.5])
    broken[place] = NAN
    whole = np.array([1.0, 1.0, 1.0])

    for a, b in ((broken, whole), (whole, broken)):
        assert math.isnan(measure_box(a, b))
        assert math.isnan(measure_segments(a, b, whole, whole))
        assert math.isnan(measure_cylinder(a, b, 0.25, 0.15))
    if place == 2:
        assert math.isnan(measure_half_space(broken, whole))
        assert math.isnan(measure_half_space(whole, broken))


MODEL = """
<mujoco><worldbody>
  <geom name="box" type="box" size="0.3 0.2 0.1"/>
  <geom name="cylinder" type="cylinder" size="0.25 0.15" pos="5 0 0"/>
  <body name="rod" mocap="true"><geom name="rod" type="capsule" size="0.02 0.2"/></body>
</worldbody></mujoco>
"""


def test_a_physics_engine_measures_the_same() -> None:
    model = mujoco.MjModel.from_xml_string(MODEL)
    rng = np.random.default_rng(3)
    compared = 0
    for _ in range(300):
        along = rng.normal(size=3)
        along *= 0.2 / np.linalg.norm(along)
        middle = rng.uniform(-0.8, 0.8, 3)
        a, b = middle - along, middle + along
        ours = (
            measure_box(a, b) - 0.02,
            measure_cylinder(a, b, 0.25, 0.15) - 0.02,
        )
        for name, shift, mine in zip(
            ("box", "cylinder"), (0.0, 5.0), ours, strict=True
        ):
            theirs = _measure_by_engine(model, name, a, b, shift)
            if min(mine, theirs) > 1e-3:
                compared += 1
                assert mine == pytest.approx(theirs, abs=2e-4)
    assert compared > 200


def _measure_by_engine(model: Any, name: str, a: Any, b: Any, shift: float) -> float:
    state = mujoco.MjData(model)
    state.mocap_pos[0] = (a + b) / 2 + np.array([shift, 0.0, 0.0])
    quat = np.zeros(4)
    mujoco.mju_quatZ2Vec(quat, (b - a) / np.linalg.norm(b - a))
    state.mocap_quat[0] = quat
    mujoco.mj_kinematics(model, state)
    one, other = (mujoco.mj_name2id(model, 5, each) for each in (name, "rod"))
    return float(mujoco.mj_geomDistance(model, state, one, other, 10.0, np.zeros(6)))
