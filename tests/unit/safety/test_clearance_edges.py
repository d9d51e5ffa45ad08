"""Clearance: what is measured, how the way is walked, what is answered."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety import clearance
from safety.capsules import (
    BOX,
    CYLINDER,
    HALF_SPACE,
    PART_LENGTH_MAX_M,
    Surroundings,
    make_surroundings,
)
from safety.clearance import (
    check_clearance,
    fill_clearances,
    fill_travel,
    fill_watched,
)
from safety.config import SafetyConfig
from safety.distances import bound_box, bound_cylinder
from tests.fakes.motion_oracle import (
    HOME_Q,
    SAFETY,
    TOOL_Z_M,
    compute_frames,
    compute_tcp,
)
from tests.oracle.swift_check import fill_clearances as measure_swiftly
from tests.stress.adversary_guard import make_bodies_of
from tests.stress.adversary_zones import draw_surroundings

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
TCP = compute_tcp(HOME_Q)
KEEP_OUT, SELF = int(HoldReason.KEEP_OUT_ZONE), int(HoldReason.SELF_COLLISION)


def draw_config(number: int) -> SafetyConfig:
    changes = draw_surroundings(np.random.default_rng(number), number, TCP)
    return SAFETY.model_copy(update=changes)


def draw_around(number: int) -> Surroundings:
    around, _ = make_surroundings(draw_config(number), TOOL)
    around.radius[-1] = (0.0, 0.03)[number % 2]
    return around


def count_pairs(around: Surroundings) -> int:
    return len(around.against_zone) + len(around.against_self)


@pytest.mark.parametrize("number", range(1, 8))
def test_clearances_are_those_that_the_other_way_finds(number: Any) -> None:
    around = draw_around(number)
    part = (float(around.radius[-1]), PART_LENGTH_MAX_M)
    bodies = make_bodies_of(draw_config(number), TOOL, part)
    rng = np.random.default_rng(number)
    for _ in range(3):
        q = HOME_Q + rng.normal(0.0, 0.3, 6)
        found = np.empty(count_pairs(around))
        wanted = np.empty(count_pairs(around))

        fill_clearances(q, around, 9.0, found)
        measure_swiftly(q, bodies, wanted)

        # The other way cuts what is far, and measures in another way what is deep.
        far = wanted >= 0.05 - 1e-9
        near = ~far & (wanted > -0.02)
        assert (found[far] >= 0.05 - 1e-7).all()
        assert np.allclose(found[near], wanted[near], rtol=0.0, atol=1e-7)
        assert (found[wanted <= -0.02] <= -0.02 + 1e-7).all()


def test_what_is_beyond_the_horizon_may_be_less_but_is_beyond_it() -> None:
    around = draw_around(2)
    whole, quick = np.empty(count_pairs(around)), np.empty(count_pairs(around))

    fill_clearances(HOME_Q, around, 9.0, whole)
    fill_clearances(HOME_Q, around, 0.05, quick)

    near = whole <= 0.05
    assert np.array_equal(quick[near], whole[near])
    assert (quick[~near] > 0.05).all()
    assert (quick <= whole + 1e-12).all()
    assert (quick[~near] < whole[~near] - 1e-3).any()


def lone(kind: int, clearance_m: float, slow_m: float = 0.02) -> Surroundings:
    """A ball of 30 mm at the tool point and one solid so far below it."""
    ball = np.array([0.0, 0.0, TOOL_Z_M])
    top = TCP[2] - 0.03 - clearance_m
    sizes = {
        BOX: [0.2, 0.2, 0.1],
        CYLINDER: [0.2, 0.1, 0.0],
        HALF_SPACE: [0.0, 0.0, 0.0],
    }
    centre = np.array([TCP[0], TCP[1], top - (0.0 if kind == HALF_SPACE else 0.1)])
    return Surroundings(
        frame=np.array([6]),
        ends=np.array([[ball, ball]]),
        radius=np.array([0.03]),
        reach=np.array([[1.0, 0.9, 0.8, 0.7, 0.6, 0.5]]),
        zone_kind=np.array([kind]),
        zone_size=np.array([sizes[kind]]),
        zone_from_base=np.column_stack([np.eye(3), -centre])[None],
        zone_margin=np.zeros(1),
        against_zone=np.array([[0, 0]]),
        against_self=np.zeros((0, 2), np.int64),
        slow_m=np.array([slow_m, 0.01]),
    )


def down(distance_m: float) -> Any:
    """A joint motion that lowers the tool by about so much, with one joint."""
    way = np.zeros(6)
    way[1] = 1e-6
    rate = (compute_tcp(HOME_Q)[2] - compute_tcp(HOME_Q + way)[2]) / 1e-6
    return np.array([0.0, distance_m / rate, 0.0, 0.0, 0.0, 0.0])


SOLIDS = pytest.mark.parametrize("kind", [BOX, CYLINDER, HALF_SPACE])


@SOLIDS
@pytest.mark.parametrize("margin_m", [0.0, 0.004])
def test_one_solid_is_measured_less_radius_and_margin(kind: Any, margin_m: Any) -> None:
    around = lone(kind, 0.01)
    around.zone_margin[0] = margin_m
    found = np.empty(1)

    fill_clearances(HOME_Q, around, 9.0, found)

    assert found[0] == pytest.approx(0.01 - margin_m, abs=1e-12)


@SOLIDS
def test_standing_still_has_the_ratio_of_the_slow_distance_as_its_margin(
    kind: Any,
) -> None:
    still = np.zeros(6)

    near = check_clearance(HOME_Q, still, lone(kind, 0.01))

    assert near == pytest.approx((0, 0.5, 0.01, 0, 1.0, KEEP_OUT))
    far = check_clearance(HOME_Q, still, lone(kind, 0.05))
    assert far == (0, 1.0, 0.0, -1, 1.0, 0)
    inside = check_clearance(HOME_Q, still, lone(kind, -0.01))
    assert inside == pytest.approx((0, 0.0, -0.01, 0, 1.0, KEEP_OUT))


@SOLIDS
def test_an_approach_is_slowed_down_by_what_is_left_at_its_end(kind: Any) -> None:
    near = check_clearance(HOME_Q, down(0.002), lone(kind, 0.012))
    away = check_clearance(HOME_Q, down(-0.002), lone(kind, 0.012))
    close = check_clearance(HOME_Q, down(0.0004), lone(kind, 0.0009))

    assert near[0] == away[0] == close[0] == 0
    assert near[1] == near[4] == pytest.approx(0.5, rel=0.01)
    assert away[1] == pytest.approx(0.7, rel=0.01)
    assert away[4] == 1.0
    assert close[1] == pytest.approx(0.025, rel=0.1)
    assert close[4] == 0.1


@SOLIDS
def test_a_way_into_a_solid_is_refused_with_what_was_left(kind: Any) -> None:
    found = check_clearance(HOME_Q, down(0.012), lone(kind, 0.01))

    assert found[0] == KEEP_OUT
    assert found[1] == min(found[2], -(2.0**-30)) / 0.02
    assert found[2] < 0.002
    assert found[3:] == (0, 0.1, KEEP_OUT)


@SOLIDS
def test_from_inside_only_the_way_out_is_granted(kind: Any) -> None:
    around = lone(kind, -0.004)

    outwards = check_clearance(HOME_Q, down(-0.002), around)
    inwards = check_clearance(HOME_Q, down(0.0001), around)

    assert outwards[0] == 0
    assert inwards[0] == KEEP_OUT
    assert inwards[1] == inwards[2] / 0.02
    assert -0.0042 < inwards[2] < -0.004
    assert inwards[3:] == (0, 0.1, KEEP_OUT)


@pytest.mark.parametrize(
    ("start", "end", "travel", "wanted"),
    [
        (0.0, -9.0, 9.0, True),
        (-0.0, -9.0, 9.0, True),
        (-(2.0**-40), -(2.0**-40), 9.0, False),
        (-0.5, -0.5 + 2.0**-30, 9.0, False),
        (-0.5, -0.5 + 2.0**-30 + 2.0**-50, 9.0, True),
        (-0.5, -0.5, 9.0, False),
        (-0.5, 9.0, 9.0, True),
        (-0.5, -0.5, 0.0, True),
        (-0.5, -0.5, 2.0**-30, True),
        (-0.5, -0.5, math.nextafter(2.0**-30, 1.0), False),
        (math.nan, 9.0, 9.0, False),
        (-0.5, math.nan, 9.0, False),
        (-0.5, -0.5, math.nan, False),
        (math.inf, math.inf, 9.0, True),
    ],
)
def test_who_moves_inside_has_to_leave(
    start: Any, end: Any, travel: Any, wanted: Any
) -> None:
    assert bool(clearance.is_way_out(start, end, travel)) is wanted


def sideways_in(depth_m: float) -> Surroundings:
    """A ball that the first joint moves along a plane, so deep inside of it."""
    around = swinging(0.0, 0.03)
    around.zone_kind[0] = HALF_SPACE
    height = [0.0, 0.0, 0.03 - depth_m - 0.1625]
    around.zone_from_base[0] = np.column_stack([np.eye(3), height])
    return around


def test_sideways_at_the_same_depth_is_refused_and_told_apart() -> None:
    around = sideways_in(0.004)

    found = check_clearance(ORIGIN, swing(0.01), around)

    assert found[0] == KEEP_OUT
    assert found[1:3] == pytest.approx((-0.2, -0.004), abs=1e-9)
    assert found[3:] == (0, 0.1, KEEP_OUT)
    assert check_clearance(ORIGIN, ORIGIN, around)[0] == 0
    # A joint that is not between the plane and the ball.
    assert check_clearance(ORIGIN, np.array([0, 0, 0, 0, 0, 1.0]), around)[0] == 0


def test_sideways_outside_is_granted() -> None:
    assert check_clearance(ORIGIN, swing(0.01), sideways_in(-0.004))[0] == 0


def test_the_arm_does_not_move_sideways_in_itself() -> None:
    around = pair(-0.005)
    spin = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.2])

    found = check_clearance(HOME_Q, spin, around)

    assert (found[0], found[3]) == (SELF, 0)
    assert check_clearance(HOME_Q, down(-0.01), around)[0] == 0


def test_the_last_of_several_that_is_not_left_is_noticed() -> None:
    around = sideways_in(0.004)
    around = around._replace(
        frame=np.array([1, 1]),
        # Upwards in base: this one is outside.
        ends=np.array([around.ends[0] + [0.0, 0.02, 0.0], around.ends[0]]),
        radius=np.array([0.03, 0.03]),
        reach=np.repeat(around.reach, 2, axis=0),
        against_zone=np.array([[0, 0], [1, 0]]),
    )

    found = check_clearance(ORIGIN, swing(0.01), around)

    assert (found[0], found[3]) == (KEEP_OUT, 1)


def test_a_way_through_a_solid_is_refused_though_both_its_ends_are_free() -> None:
    thin = lone(BOX, 0.01)
    thin.zone_size[0] = [0.2, 0.2, 1e-4]
    thin.zone_from_base[0, 2, 3] += -0.1 + 1e-4

    found = check_clearance(HOME_Q, down(0.15), thin)
    there = check_clearance(HOME_Q + down(0.15), np.zeros(6), thin)

    assert found[0] == KEEP_OUT
    assert there[0] == 0


def test_a_place_that_is_no_number_is_refused() -> None:
    for spoil in ("ends", "zone_from_base", "zone_margin", "zone_size"):
        around = lone(BOX, 0.5)
        getattr(around, spoil)[...] = math.nan
        assert check_clearance(HOME_Q, down(0.001), around)[0] == KEEP_OUT, spoil
        assert check_clearance(HOME_Q, np.zeros(6), around)[0] == KEEP_OUT, spoil


def test_travel_is_the_sum_of_what_each_joint_before_can_do() -> None:
    around = draw_around(1)
    way = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6])
    travel = np.empty(count_pairs(around))

    fill_travel(way, around, travel)

    zones = len(around.against_zone)
    for k, (capsule, _) in enumerate(around.against_zone):
        joints = slice(0, around.frame[capsule])
        wanted = np.abs(way[joints]) @ around.reach[capsule, joints]
        assert travel[k] == pytest.approx(wanted, rel=1e-12)
    for k, (one, other) in enumerate(around.against_self):
        joints = slice(around.frame[one], around.frame[other])
        wanted = np.abs(way[joints]) @ around.reach[other, joints]
        assert travel[zones + k] == pytest.approx(wanted, rel=1e-12)


def pair(gap_m: float) -> Surroundings:
    """A ball at the tool point and one on the base that far from it."""
    ball = np.array([0.0, 0.0, TOOL_Z_M])
    below = TCP - np.array([0.0, 0.0, 0.05 + gap_m])
    return Surroundings(
        frame=np.array([0, 6]),
        ends=np.array([[below, below], [ball, ball]]),
        radius=np.array([0.02, 0.03]),
        reach=np.array([np.zeros(6), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]]),
        zone_kind=np.zeros(0, np.int64),
        zone_size=np.zeros((0, 3)),
        zone_from_base=np.zeros((0, 3, 4)),
        zone_margin=np.zeros(0),
        against_zone=np.zeros((0, 2), np.int64),
        against_self=np.array([[0, 1]]),
        slow_m=np.array([0.02, 0.01]),
    )


def test_the_arm_keeps_clear_of_itself() -> None:
    still = np.zeros(6)

    at_rest = check_clearance(HOME_Q, still, pair(0.005))
    assert at_rest[0] == 0
    assert at_rest[1] == pytest.approx(0.5, rel=1e-9)
    refused = check_clearance(HOME_Q, down(0.01), pair(0.005))
    assert refused[0] == SELF
    assert refused[1] == min(refused[2], -(2.0**-30)) / 0.01
    assert refused[3:] == (0, 0.1, SELF)
    assert check_clearance(HOME_Q, down(-0.01), pair(0.005))[0] == 0


@pytest.mark.parametrize("which", range(2))
def test_a_capsule_without_a_radius_is_not_there(which: Any) -> None:
    around = pair(0.005)
    around.radius[which] = 0.0
    assert check_clearance(HOME_Q, down(0.01), around) == (0, 1.0, 0.0, -1, 1.0, 0)
    absent = lone(BOX, 0.005)
    absent.radius[0] = 0.0
    assert check_clearance(HOME_Q, down(0.01), absent) == (0, 1.0, 0.0, -1, 1.0, 0)


@SOLIDS
def test_between_two_places_there_is_room_for_half_a_step(kind: Any) -> None:
    around = lone(kind, 0.007)
    # Turns the ball about itself: it does not move, as far as it could.
    spin = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.2])

    assert check_clearance(HOME_Q, spin, around)[0] == 0
    assert check_clearance(HOME_Q, down(0.0015), around)[0] == 0
    found = check_clearance(HOME_Q, down(0.0015) + spin, around)
    assert found[0] == KEEP_OUT
    # An eighth of the way may be 0.1 m long and more, of which half is kept.
    assert 0.5 * 0.1 / 8 - 0.0001 < found[2] < 0.5 * 0.104 / 8
    assert found[1] == -(2.0**-30) / 0.02


def crossing(gap_m: float, half_m: float = 0.2) -> Surroundings:
    """A rod through the tool point that runs past the edge of a box.

    It is further from the box than the box around it is. Beside it a ball that no joint
    moves, and that is far from everything.
    """
    around = lone(BOX, 0.01)
    flange = compute_frames(HOME_Q)[6]
    turn = flange[:3, :3].T
    way = turn @ np.array([1.0, 0.0, 1.0]) / math.sqrt(2.0)
    tip = np.array([0.0, 0.0, TOOL_Z_M])
    rod = [tip - half_m * way, tip + half_m * way]
    # The edge of the box lies across, below the middle of the rod.
    across = np.array([1.0, 0.0, -1.0]) / math.sqrt(2.0)
    edge = TCP + across * (0.03 + gap_m)
    centre = edge + np.array([0.3, 0.0, -0.3])
    return around._replace(
        frame=np.array([6, 0]),
        ends=np.array([rod, [[0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]]),
        radius=np.array([0.03, 0.01]),
        reach=np.array([around.reach[0], np.zeros(6)]),
        zone_size=np.array([[0.3, 0.3, 0.3]]),
        zone_from_base=np.column_stack([np.eye(3), -centre])[None],
        against_zone=np.array([[0, 0], [1, 0]]),
    )


def test_what_is_near_is_measured_and_not_estimated() -> None:
    around = crossing(0.019, 0.005)
    still = np.zeros(6)

    found = check_clearance(HOME_Q, still, around)

    assert found[1] == pytest.approx(0.95, rel=1e-6)
    assert found[3] == 0


def test_whatever_can_come_near_is_measured_as_well() -> None:
    # Estimated it would be 30 mm nearer than it is, and too near to pass.
    around = crossing(0.04)

    found = check_clearance(HOME_Q, down(0.002), around)

    assert found[:2] == (0, 1.0)


@pytest.mark.parametrize(
    ("start", "travel", "wanted"),
    [
        ([0.03, 0.03], [0.005, 0.015], True),
        ([0.02 + 2.0**-30, 9.0], [0.0, 0.0], True),
        ([0.02, 9.0], [0.0, 0.0], False),
        ([9.0, 0.01], [0.0, 0.0], False),
        ([9.0, 0.0101], [0.0, 0.0], True),
        ([0.03, 9.0], [0.02, 0.0], False),
        ([9.0, 0.03], [0.0, 0.03], False),
        ([math.nan, 9.0], [0.0, 0.0], False),
        ([9.0, math.nan], [0.0, 0.0], False),
    ],
)
def test_far_is_what_cannot_come_near_enough_to_matter(
    start: Any, travel: Any, wanted: Any
) -> None:
    around = lone(BOX, 0.01)  # one zone; slow at 20 mm, against itself at 10 mm

    is_far = np.zeros(2, dtype=bool)
    found = clearance._find_far(np.array(start), np.array(travel), 1, around, is_far)

    assert bool(found) is wanted
    assert is_far.tolist() == [
        not math.isnan(start[0]) and start[0] - travel[0] > 0.02,
        not math.isnan(start[1]) and start[1] - travel[1] > 0.01,
    ]


def test_what_is_far_is_measured_no_more_and_everything_else_is() -> None:
    around = draw_around(2)
    count = count_pairs(around)
    whole = np.empty(count)
    fill_clearances(HOME_Q, around, 9.0, whole)

    for far in range(count):
        is_far = np.zeros(count, dtype=bool)
        is_far[far] = True
        found = np.full(count, -7.0)
        clearance.fill_watched(HOME_Q, around, 9.0, is_far, found)

        assert found[far] == -7.0
        assert np.array_equal(found[~is_far], whole[~is_far])


# --- a ball on a long arm, whose way is as good as straight -------------------------

ARM_M = 1e5


def swinging(gap_m: float, radius_m: float, slow_m: float = 0.02) -> Surroundings:
    """A ball that the first joint moves along y, and a thin plate across its way.

    The gap is that from the ball to the middle of the plate. Reach is exact, so that
    travel is the way itself.
    """
    around = lone(BOX, 0.0, slow_m)
    place = [ARM_M, 0.0, 0.0]
    return around._replace(
        frame=np.array([1]),
        ends=np.array([[place, place]]),
        radius=np.array([radius_m]),
        reach=np.array([[ARM_M, 0.0, 0.0, 0.0, 0.0, 0.0]]),
        zone_size=np.array([[1.0, 1e-6, 1.0]]),
        zone_from_base=np.column_stack(
            [np.eye(3), [-ARM_M, -(gap_m + radius_m), -0.1625]]
        )[None],
    )


def swing(distance_m: float) -> Any:
    return np.array([distance_m / ARM_M, 0.0, 0.0, 0.0, 0.0, 0.0])


ORIGIN = np.zeros(6)


def count_looks(monkeypatch: Any, way: Any, around: Surroundings) -> tuple[Any, int]:
    """Check a way as plain Python; return the answer and how many places it took."""
    looks = []

    def look(*arguments: Any) -> None:
        looks.append(arguments)
        fill_watched(*arguments)

    monkeypatch.setattr(clearance, "fill_watched", look)
    plain: Any = getattr(check_clearance, "py_func", check_clearance)
    return plain(ORIGIN, way, around), len(looks)


def test_what_is_far_is_looked_at_once(monkeypatch: Any) -> None:
    found, looks = count_looks(monkeypatch, swing(0.1), swinging(0.5, 0.01))

    assert found == (0, 1.0, 0.0, -1, 1.0, 0)
    assert looks == 1


def test_a_step_is_as_long_as_there_is_room(monkeypatch: Any) -> None:
    # Sideways: it comes no nearer, and might.
    around = swinging(0.3, 0.01)
    around.zone_from_base[0, 1, :3] = [0.0, 0.0, 1.0]
    around.zone_from_base[0, 2, :3] = [0.0, 1.0, 0.0]
    around.zone_from_base[0, :, 3] = [-ARM_M, -0.1625 - 0.31, 0.0]

    # And a second ball with all the room there is.
    high = around.ends[0] + [0.0, 5.0, 0.0]
    around = around._replace(
        frame=np.array([1, 1]),
        ends=np.array([around.ends[0], high]),
        radius=np.array([0.01, 0.01]),
        reach=np.repeat(around.reach, 2, axis=0),
        against_zone=np.array([[0, 0], [1, 0]]),
    )

    found, looks = count_looks(monkeypatch, swing(1.5), around)

    # At 0, 0.2, 0.4, 0.6, 0.8 and 1.
    assert found[0] == 0
    assert looks == 6


def test_a_step_is_never_shorter_than_an_eighth(monkeypatch: Any) -> None:
    around = swinging(0.07, 0.01)
    around.zone_from_base[0, 1, :3] = [0.0, 0.0, 1.0]
    around.zone_from_base[0, 2, :3] = [0.0, 1.0, 0.0]
    around.zone_from_base[0, :, 3] = [-ARM_M, -0.1625 - 0.08, 0.0]

    found, looks = count_looks(monkeypatch, swing(1.0), around)

    assert found[0] == 0
    assert looks == 9


def test_all_of_the_least_step_is_looked_at() -> None:
    # Through the plate within the first fifth of the way.
    assert check_clearance(ORIGIN, swing(0.62), swinging(0.0388, 0.03))[0] == KEEP_OUT


def test_a_short_way_through_is_a_way_through() -> None:
    around = swinging(0.03, 0.001)

    assert check_clearance(ORIGIN, swing(0.08), around)[0] == KEEP_OUT
    assert check_clearance(swing(0.08), ORIGIN, around)[0] == 0


def test_the_end_of_the_way_is_what_counts() -> None:
    # Twice the reach: the ball makes half of the way it could.
    around = swinging(0.019, 0.01)
    around.reach[0, 0] *= 2.0

    found = check_clearance(ORIGIN, swing(0.01), around)

    assert found[0] == 0
    assert found[1] == pytest.approx(0.009 / 0.02, rel=1e-3)


def find_margin(around: Surroundings, q: Any, wanted: float) -> None:
    """Set the margin of a zone so that its clearance is a number to the bit."""
    room = np.empty(1)
    fill_clearances(q, around, 9.0, room)
    around.zone_margin[0] += room[0] - wanted
    near = around.zone_margin[0]
    for number in range(-500, 500):
        around.zone_margin[0] = near * (1.0 + number * 2.0**-52)
        fill_clearances(q, around, 9.0, room)
        if room[0] == wanted:
            return
    raise AssertionError("no margin gives it")


def test_just_half_a_step_of_room_is_enough() -> None:
    around = lone(HALF_SPACE, 0.05)
    way = down(0.002)
    travel = np.empty(1)
    # A power of two, so that it can be met.
    reach = 2.0**-8 / way[1]
    while way[1] * reach < 2.0**-8:
        reach = math.nextafter(reach, 9.0)
    while way[1] * reach > 2.0**-8:
        reach = math.nextafter(reach, 0.0)
    around.reach[0, 1] = reach
    fill_travel(way, around, travel)
    assert travel[0] == 2.0**-8
    find_margin(around, HOME_Q + way, 2.0**-12)

    assert check_clearance(HOME_Q, way, around)[0] == 0


def test_it_may_come_nearer_by_its_rounding_and_no_more() -> None:
    # A plane through the ball, and ways that lower it by multiples of 2^-40 m. With as
    # good as no reach it counts as standing still, and has nothing to leave.
    around = lone(HALF_SPACE, -0.004)
    around.reach[:] = 1e-9
    start, end = np.empty(1), np.empty(1)
    fill_clearances(HOME_Q, around, 9.0, start)
    found = []
    for number in range(-4000, 4000):
        way = down(2.0**-30 * (1.0 + number * 2.0**-24))
        fill_clearances(HOME_Q + way, around, 9.0, end)
        if end[0] == start[0] - 2.0**-30:
            found.append(check_clearance(HOME_Q, way, around)[0])
        elif end[0] < start[0] - 2.0**-29:
            assert check_clearance(HOME_Q, way, around)[0] == KEEP_OUT
    assert found
    assert not any(found)


def grant(start: Any, end: Any) -> Any:
    around = pair(0.0)._replace(against_zone=np.zeros((1, 2), np.int64))
    return clearance._grant(np.array(start), np.array(end), 1, around)


def test_what_is_granted_is_told_in_full() -> None:
    # One check of a zone, slow at 20 mm; the rest against itself, slow at 10 mm.
    far = [9.0, 9.0, 9.0]

    assert grant(far, far) == (0, 1.0, 0.0, -1, 1.0, 0)
    assert grant(far, [0.02, 0.01, 9.0]) == (0, 1.0, 0.0, -1, 1.0, 0)
    assert grant(far, [0.01, 0.005, 9.0]) == (0, 0.5, 0.01, 0, 0.5, KEEP_OUT)
    assert grant(far, [9.0, 0.005, 0.0025]) == (0, 0.25, 0.0025, 2, 0.25, SELF)
    assert grant(far, [9.0, 0.0025, 0.005]) == (0, 0.25, 0.0025, 1, 0.25, SELF)
    # Nearer than its rounding is no approach.
    assert grant([0.015625, 9, 9], [0.015625 - 2.0**-30, 9, 9])[4] == 1.0
    assert grant([0.015625, 9, 9], [0.015625 - 2.0**-29, 9, 9])[4] < 0.8


@pytest.mark.parametrize("which", range(2))
def test_what_is_not_there_has_no_clearance_to_lose(which: Any) -> None:
    within = pair(-0.045)
    within.radius[which] = 0.0
    inside = lone(BOX, -0.04)
    inside.radius[0] = 0.0
    found = np.empty(1)

    fill_clearances(HOME_Q, within, 9.0, found)
    assert found[0] == math.inf
    fill_clearances(HOME_Q, inside, 9.0, found)
    assert found[0] == math.inf


def test_up_to_the_horizon_a_box_is_measured() -> None:
    local = np.array([[1.5, 0.0, 1.0], [1.0, 0.0, 1.5]])
    sizes = np.array([[0.5, 0.5, 0.5]])
    bound = math.sqrt(0.5)
    assert bound_box(local, sizes, 0) == bound

    at = clearance._measure_zone(local, BOX, sizes, 0, bound)
    below = clearance._measure_zone(local, BOX, sizes, 0, math.nextafter(bound, 0.0))

    assert at == pytest.approx(0.75 * math.sqrt(2.0))
    assert below == bound


def test_up_to_the_horizon_a_cylinder_is_measured() -> None:
    local = np.array([[1.5, 0.0, 1.0], [1.0, 0.0, 1.5]])
    sizes = np.array([[0.5, 0.5, 0.0]])
    bound = math.sqrt(0.5)
    assert bound_cylinder(local, sizes, 0) == bound

    at = clearance._measure_zone(local, CYLINDER, sizes, 0, bound)
    below = clearance._measure_zone(
        local, CYLINDER, sizes, 0, math.nextafter(bound, 0.0)
    )

    assert at == pytest.approx(0.75 * math.sqrt(2.0))
    assert below == bound


def test_the_way_is_cut_into_eighths() -> None:
    assert clearance._STEPS == 8


def test_with_far_to_go_what_is_further_is_measured() -> None:
    around = crossing(0.253)
    around = around._replace(reach=around.reach * 300.0)

    assert check_clearance(HOME_Q, down(0.002), around)[0] == 0


def find_lingering(start: Any, end: Any, travel: Any) -> int:
    arrays = np.array(start), np.array(end), np.array(travel)
    return int(clearance._find_lingering(*arrays))


def test_the_first_check_that_does_not_leave_is_the_one_that_is_named() -> None:
    assert find_lingering([-0.1, -0.1], [0.1, 0.1], [1.0, 1.0]) == -1
    assert find_lingering([-0.1, -0.1], [-0.1, -0.1], [1.0, 1.0]) == 0
    assert find_lingering([-0.1, -0.1], [0.1, -0.1], [1.0, 1.0]) == 1
    assert find_lingering([0.1, -0.1], [0.0, -0.1], [1.0, 0.0]) == -1
