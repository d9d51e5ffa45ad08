"""Distances beside formulas and searches of another kind, and where cases meet."""

import math
from typing import Any

import numpy as np
import pytest

from safety import distances
from tests.oracle.plain import BOX, CYLINDER, NOTHING_AROUND
from tests.oracle.swift_check import measure_between, measure_to_zone

HALF = np.array([0.2, 0.3, 0.1])
RADIUS, HEIGHT = 0.2, 0.3
SOLIDS = NOTHING_AROUND._replace(
    zone_kind=np.array([BOX, CYLINDER]),
    zone_size=np.array([HALF, [RADIUS, HEIGHT, 0.0]]),
    base_from_zone=np.array([np.eye(4)[:3]] * 2),
    zone_margin=np.zeros(2),
)
SEEDS = range(8)
EACH = 25


def pack(*places: Any) -> Any:
    return np.array(places, dtype=float)


def measure_box(a: Any, b: Any, half: Any) -> Any:
    # The second of two sizes, so that the first is no default.
    return distances.measure_box(pack(a, b), pack(np.ones(3), half), 1)


def bound_box(a: Any, b: Any, half: Any) -> Any:
    return distances.bound_box(pack(a, b), pack(np.ones(3), half), 1)


def measure_cylinder(a: Any, b: Any, radius: float, height: float) -> Any:
    sizes = pack(np.ones(3), [radius, height, 0.0])
    return distances.measure_cylinder(pack(a, b), sizes, 1)


def bound_cylinder(a: Any, b: Any, radius: float, height: float) -> Any:
    sizes = pack(np.ones(3), [radius, height, 0.0])
    return distances.bound_cylinder(pack(a, b), sizes, 1)


def measure_half_space(a: Any, b: Any) -> Any:
    return distances.measure_half_space(pack(a, b))


def measure_segments(a: Any, b: Any, c: Any, d: Any) -> Any:
    ends = np.full((5, 2, 3), 7.0)
    ends[1], ends[3] = pack(a, b), pack(c, d)
    return distances.measure_segments(ends, 1, 3)


def draw_segments(seed: int) -> Any:
    """Segments in general position, along axes, in planes of faces, and points."""
    rng = np.random.default_rng(seed)
    for number in range(EACH):
        a, b = rng.uniform(-0.6, 0.6, (2, 3))
        match number % 5:
            case 1:
                b = a.copy()
                axis = rng.integers(3)
                b[axis] += rng.uniform(-0.8, 0.8)
            case 2:
                axis = rng.integers(3)
                a[axis] = b[axis] = rng.choice([-1.0, 1.0]) * HALF[axis]
            case 3:
                b = a.copy()
            case 4:
                a *= 0.3
        yield a, b


def inside_box(a: Any, b: Any) -> float:
    """How far the segment has to go out by the nearest face, negative."""
    lows, highs = np.minimum(a, b), np.maximum(a, b)
    return -float(min((HALF - lows).min(), (HALF + highs).min()))


def inside_cylinder(a: Any, b: Any) -> float:
    flat = np.array([[*a[:2], 0.0], [*b[:2], 0.0]])
    radial = measure_between(flat, np.zeros((2, 3)))
    ways = (HEIGHT - min(a[2], b[2]), HEIGHT + max(a[2], b[2]), RADIUS - radial)
    return -float(min(ways))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_box_is_as_far_as_the_search_says(seed: Any) -> None:
    for a, b in draw_segments(seed):
        wanted = measure_to_zone(np.array([a, b]), SOLIDS, 0, 9.0)
        if wanted <= 1e-9:
            wanted = inside_box(a, b)
        assert measure_box(a, b, HALF) == pytest.approx(wanted, abs=1e-8)
        assert measure_box(b, a, HALF) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cylinder_is_as_far_as_the_search_says(seed: Any) -> None:
    for a, b in draw_segments(seed):
        wanted = measure_to_zone(np.array([a, b]), SOLIDS, 1, 9.0)
        if wanted <= 1e-9:
            wanted = inside_cylinder(a, b)
        found = measure_cylinder(a, b, RADIUS, HEIGHT)
        assert found == pytest.approx(wanted, abs=2e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_are_as_far_as_the_other_formula_says(seed: Any) -> None:
    pairs = list(draw_segments(seed))
    for (a, b), (c, d) in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        wanted = measure_between(np.array([a, b]), np.array([c, d]))
        assert measure_segments(a, b, c, d) == pytest.approx(wanted, abs=1e-9)
        assert measure_segments(d, c, b, a) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_quick_bound_is_the_gap_between_two_boxes(seed: Any) -> None:
    for a, b in draw_segments(seed):
        gaps = np.maximum(np.minimum(a, b) - HALF, -HALF - np.maximum(a, b))
        wanted = float(np.linalg.norm(np.maximum(gaps, 0.0)))
        assert bound_box(a, b, HALF) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_quick_bound_of_a_cylinder_is_that_of_the_box_around_it(seed: Any) -> None:
    around = [RADIUS, RADIUS, HEIGHT]
    for a, b in draw_segments(seed):
        assert bound_cylinder(a, b, RADIUS, HEIGHT) == bound_box(a, b, around)


@pytest.mark.parametrize("end", range(2))
@pytest.mark.parametrize("axis", range(3))
def test_a_quick_bound_keeps_what_is_no_number(end: int, axis: int) -> None:
    ends = np.full((2, 3), 9.0)
    ends[end, axis] = np.nan

    assert np.isnan(bound_box(ends[0], ends[1], HALF))
    assert np.isnan(bound_cylinder(ends[0], ends[1], RADIUS, HEIGHT))


def point(*place: float) -> Any:
    return np.array(place, dtype=float)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_point_on_a_face_touches_and_one_beyond_does_not(
    axis: Any, sign: Any
) -> None:
    at = np.zeros(3)
    at[axis] = sign * HALF[axis]
    beyond = at.copy()
    beyond[axis] += sign * 2.0**-30

    assert measure_box(at, at, HALF) == 0.0
    assert measure_box(beyond, beyond, HALF) == pytest.approx(2.0**-30, rel=1e-6)
    assert measure_box(at, 0 * at, HALF) == pytest.approx(-min(HALF))


@pytest.mark.parametrize("half", [[1.0, 9.0, 9.0], [9.0, 1.0, 9.0], [9.0, 9.0, 1.0]])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_nearest_face_is_the_way_out_of_a_box(half: Any, sign: Any) -> None:
    a = np.array([0.25, 0.25, 0.25]) * sign
    b = np.array([0.5, 0.5, 0.5]) * sign

    assert measure_box(a, b, np.array(half)) == -0.75


def test_the_rim_and_the_caps_of_a_cylinder() -> None:
    def at(x: float, y: float, z: float) -> float:
        return float(measure_cylinder(point(x, y, z), point(x, y, z), 3.0, 4.0))

    assert at(3.0, 0.0, 0.0) == 0.0
    assert at(0.0, 3.0, 4.0) == 0.0
    assert at(0.0, 0.0, -4.0) == 0.0
    assert at(0.0, 5.0, 1.0) == 2.0
    assert at(1.0, 0.0, 4.5) == 0.5
    assert at(1.0, 0.0, -4.5) == 0.5
    assert at(0.0, -6.0, 8.0) == 5.0
    assert at(2.0, 0.0, 0.0) == -1.0
    assert at(0.0, 0.0, 3.5) == -0.5
    assert at(0.0, 0.0, -3.5) == -0.5


def test_a_half_space_is_below_its_plane() -> None:
    assert measure_half_space(point(0, 0, 1.0), point(9, 9, 3.0)) == 1.0
    assert measure_half_space(point(0, 0, 3.0), point(9, 9, -2.0)) == -2.0


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("which", range(4))
def test_what_is_no_number_has_no_distance(which: Any, index: Any) -> None:
    ends = [point(0.5, 0.4, 0.6), point(0.1, 0.7, 0.9), point(1, 2, 3), point(2, 1, 4)]
    ends[which][index] = math.nan

    assert math.isnan(measure_segments(*ends))
    if which < 2:
        assert not measure_box(ends[0], ends[1], HALF) > -math.inf or math.isnan(
            measure_box(ends[0], ends[1], HALF)
        )
        assert math.isnan(measure_cylinder(ends[0], ends[1], RADIUS, HEIGHT))
        if index == 2:
            assert math.isnan(measure_half_space(ends[0], ends[1]))


def test_nearly_parallel_segments_are_measured_at_their_ends() -> None:
    a, b = point(0, 0, 0), point(1, 0, 0)
    for tilt in (0.0, 1e-9, -1e-9, 1e-7, 1e-5):
        c, d = point(0.3, 0.5, 0.0), point(2.0, 0.5 + tilt, tilt)
        wanted = measure_between(np.array([a, b]), np.array([c, d]))
        assert measure_segments(a, b, c, d) == pytest.approx(wanted, abs=1e-7)
        assert measure_segments(c, d, a, b) == pytest.approx(wanted, abs=1e-7)


# --- the last digits ------------------------------------------------------------------

FAR = 1e12


def test_the_numbers_of_the_distances_are_those_that_were_signed_off() -> None:
    assert distances._HALVINGS == 52
    assert distances._TOUCHING_M == 1e-9


@pytest.mark.parametrize(
    ("end", "other"),
    [
        ([0.0, 5.0, 1.0], [0.0, FAR, 1.0]),  # away from the axis
        ([5.0, 0.0, 0.0], [5.0, FAR, 0.0]),  # along the rim, slope of nothing
        ([5.0, 0.0, 0.0], [FAR, 0.0, 0.0]),
        ([0.0, 0.0, 6.0], [0.0, FAR, 6.0]),  # above
        ([0.0, 0.0, 6.0], [0.0, 0.0, FAR]),
    ],
)
def test_an_end_that_is_nearest_is_met_to_the_last_digit(end: Any, other: Any) -> None:
    # Any place beside it is a tenth of a millimetre away.
    assert measure_cylinder(end, other, 3.0, 4.0) == 2.0
    assert measure_box(end, other, [3.0, 3.0, 4.0]) == 2.0
    assert measure_box(other, end, [3.0, 3.0, 4.0]) == 2.0


def test_a_slope_that_is_all_but_level_leads_away_as_well() -> None:
    gap = 2.0**-24

    assert measure_cylinder([3.0 + gap, 0, 0], [1e6, 0, 0], 3.0, 4.0) == gap
    assert measure_cylinder([1e6, 0, 0], [3.0 + gap, 0, 0], 3.0, 4.0) == gap


def test_a_way_that_ends_before_the_solid_is_nearest_at_its_end() -> None:
    # A tenth further, and it would be through.
    assert measure_cylinder([1e6, 0, 0], [5.0, 0, 0], 3.0, 4.0) == 2.0
    assert measure_box([1e6, 0, 0], [5.0, 0, 0], [3.0, 3.0, 4.0]) == 2.0


def test_of_all_places_inside_the_first_is_taken() -> None:
    through, into = pack([-4, 0, 0], [4, 0, 0]), pack([-4, 0, 0], [0, 0, 0])
    half = pack([1, 1, 1])

    assert distances._find_nearest_to_box(through, half, 0) == 0.375
    assert distances._find_nearest_to_box(into, half, 0) == 0.75
    ends = pack([FAR, FAR, 0], [0, 5, 0])
    assert distances._find_nearest_to_cylinder(ends, 3.0, 4.0) == 1.0
    assert distances._find_nearest_to_cylinder(through, 1.0, 1.0) == pytest.approx(
        0.375, abs=1e-15
    )
    assert distances._find_nearest_to_cylinder(into, 1.0, 1.0) == pytest.approx(
        0.75, abs=1e-15
    )


def find_touching() -> tuple[float, float]:
    """Return two lengths whose squares add up to that of a nanometre, to the bit."""
    for number in range(1000):
        one = 6e-10 * (1.0 + number * 1e-6)
        other = math.sqrt(1e-9 * 1e-9 - one * one)
        for _ in range(8):
            if one * one + other * other == 1e-9 * 1e-9:
                return one, other
            other = math.nextafter(other, 1.0)
    raise AssertionError("there are none")


def test_within_a_nanometre_a_segment_counts_as_inside() -> None:
    one, other = find_touching()
    # Beside an edge: along each face it would be out after less.
    place = [one, 0.0, other]

    assert measure_box(place, place, [0.0, 1.0, 0.0]) == other
    assert measure_box(place, place, [0.0, 1.0, -1e-12]) == pytest.approx(
        1e-9, rel=1e-2
    )
    assert measure_cylinder(place, place, 0.0, 0.0) == other
    assert measure_cylinder([0, 0, 1.2e-9], [0, 0, 1.2e-9], 3.0, 0.0) == 1.2e-9


def test_a_segment_that_stands_upright_has_one_distance_from_the_axis() -> None:
    ends = pack([0.3, 0.4, -1.0], [0.3, 0.4, 5.0])
    short = pack([0.3, 0.4, 0.0], [0.1, 0.4, 0.0])

    assert distances._measure_from_axis(ends) == 0.5
    assert distances._measure_from_axis(short) == pytest.approx(math.hypot(0.1, 0.4))
