"""The two oracles agree with each other, with plain geometry, and notice breaches."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cell.contracts.geometry import Pose
from cell.kinematics import compute_base_from_tcp
from safety.limits import make_limits
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, TOOL_Z_M, compute_tcp
from tests.oracle.plain import (
    BOX,
    CYLINDER,
    HALF_SPACE,
    NOTHING_AROUND,
    Bodies,
    MotionLimits,
    read_limits,
)
from tests.oracle.slow_oracle import SlowOracle
from tests.oracle.swift_check import (
    WHAT,
    count_breaches,
    fill_clearances,
    measure_between,
    measure_to_zone,
    place_point,
)

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
LIMITS = read_limits(make_limits(SAFETY, TOOL, PERIOD_S))
angles = st.lists(st.floats(-6.2, 6.2), min_size=6, max_size=6)


def tilted(position_m: Any, rotvec: Any) -> Any:
    return Pose.from_rotvec(position_m, rotvec).as_matrix()[:3]


def scene(**changes: Any) -> Bodies:
    """A forearm, a wrist and a tool; a box, a cylinder and a table."""
    parts: dict[str, Any] = {
        "frame": np.array([0, 2, 3, 6]),
        "ends": np.array(
            [
                [[0.0, 0.0, 0.02], [0.0, 0.0, 0.14]],
                [[0.425, 0.0, 0.138], [0.0, 0.0, 0.138]],
                [[0.392, 0.0, 0.007], [0.0, 0.0, 0.007]],
                [[0.0, 0.02, 0.0], [0.0, 0.0, 0.13]],
            ]
        ),
        "radius": np.array([0.08, 0.06, 0.055, 0.04]),
        "zone_kind": np.array([BOX, CYLINDER, HALF_SPACE]),
        "zone_size": np.array([[0.1, 0.2, 0.05], [0.1, 0.3, 0.0], [0.0, 0.0, 0.0]]),
        "base_from_zone": np.array(
            [
                tilted([-0.5, 0.4, 0.1], [0.3, 0.2, -0.5]),
                tilted([0.3, -0.5, 0.4], [0.7, 0.0, 0.4]),
                tilted([0.0, 0.0, -0.1], [0.1, 0.05, 0.0]),
            ]
        ),
        "zone_margin": np.array([0.01, 0.0, 0.02]),
        "against_zone": np.array([[c, z] for c in (1, 2, 3) for z in range(3)]),
        "against_self": np.array([[0, 2], [0, 3], [1, 3]]),
    }
    return Bodies(**{**parts, **changes})


@given(angles)
def test_three_ways_to_the_tool_point_agree(q: Any) -> None:
    tool = Pose.from_rotvec([0.03, -0.05, 0.17], [0.4, 0.1, -0.2])
    limits = LIMITS._replace(flange_from_tcp=tool.as_matrix()[:3])
    swift = np.empty(3)

    place_point(np.array(q), 6, np.array(tool.position_m), swift)
    slow = SlowOracle(limits).find_tcp(np.array(q))

    assert np.allclose(swift, slow, rtol=0.0, atol=1e-12)
    wanted = compute_base_from_tcp(np.array(q), tool).position_m
    assert np.allclose(wanted, slow, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("frame", range(7))
def test_every_frame_of_the_closed_form_is_that_of_the_model(frame: Any) -> None:
    rng = np.random.default_rng(frame)
    point = rng.normal(size=3)
    radius = np.array([0.01])
    bodies = NOTHING_AROUND._replace(
        frame=np.array([frame]),
        ends=np.array([[point, point]]),
        radius=radius,
        zone_kind=np.array([HALF_SPACE]),
        zone_size=np.zeros((1, 3)),
        base_from_zone=tilted([0.1, 0.2, 0.3], rng.normal(size=3).tolist())[None],
        zone_margin=np.zeros(1),
        against_zone=np.array([[0, 0]]),
    )
    oracle = SlowOracle(LIMITS, bodies)
    for _ in range(20):
        q = rng.uniform(-6.0, 6.0, 6)
        place = np.empty(3)

        place_point(q, frame, point, place)

        pose = bodies.base_from_zone[0]
        height = float((place - pose[:, 3]) @ pose[:, 2]) - 0.01
        assert oracle.measure(q)[0] == pytest.approx(height, abs=1e-12)


@settings(max_examples=200)
@given(angles)
def test_both_measure_the_same_clearances(q: Any) -> None:
    bodies = scene()
    swift = np.empty(len(bodies.against_zone) + len(bodies.against_self))

    fill_clearances(np.array(q), bodies, swift)
    slow = SLOW_SCENE.measure(np.array(q))

    # What goes deep is measured in two ways; what is far is cut.
    near = (swift > -0.03) & (swift < 0.05 - 1e-9)
    assert np.allclose(swift[near], slow[near], rtol=0.0, atol=2e-5)
    assert (slow[swift <= -0.03] < 0.0).all()
    assert (slow[swift >= 0.05 - 1e-9] >= 0.05 - 2e-5).all()


SLOW_SCENE = SlowOracle(LIMITS, scene())


def segment(*ends: Any) -> Any:
    return np.array(ends, dtype=float)


def test_distances_of_figures_that_one_can_check_by_hand() -> None:
    bodies = scene(
        base_from_zone=np.array([np.eye(4)[:3]] * 3), zone_margin=np.zeros(3)
    )

    def to_zone(zone: int, *ends: Any) -> float:
        return float(measure_to_zone(segment(*ends), bodies, zone, 9.0))

    beside_edge = to_zone(0, [0.4, 0.6, -1.0], [0.4, 0.6, 1.0])
    assert beside_edge == pytest.approx(0.5)
    assert to_zone(0, [0.0, 0.0, 0.06], [0.0, 0.0, 1.0]) == pytest.approx(0.01)
    assert to_zone(0, [0.0, 0.0, 0.04], [0.0, 0.0, 1.0]) == pytest.approx(-0.01)
    assert to_zone(1, [0.5, -1.0, 0.0], [0.5, 1.0, 0.0]) == pytest.approx(0.4)
    assert to_zone(1, [0.4, 0.0, 0.7], [0.4, 0.0, 0.9]) == pytest.approx(0.5)
    assert to_zone(2, [9.0, 9.0, 0.3], [-9.0, 2.0, 0.2]) == pytest.approx(0.2)


def test_distances_between_segments_that_one_can_check_by_hand() -> None:
    one = segment([0.0, 0.0, 0.0], [1.0, 0.0, 0.0])

    crossing = segment([0.5, -1.0, 0.3], [0.5, 1.0, 0.3])
    assert measure_between(one, crossing) == pytest.approx(0.3)
    beyond = segment([1.3, 0.4, 0.0], [2.0, 0.4, 0.0])
    assert measure_between(one, beyond) == pytest.approx(0.5)
    beside = segment([0.2, 0.0, 0.2], [0.7, 0.0, 0.2])
    assert measure_between(one, beside) == pytest.approx(0.2)
    point = segment([0.5, 0.0, 0.7], [0.5, 0.0, 0.7])
    assert measure_between(one, point) == pytest.approx(0.7)


@given(st.lists(st.floats(-1.0, 1.0), min_size=12, max_size=12))
def test_distances_between_segments_are_those_of_many_samples(numbers: Any) -> None:
    one, other = np.array(numbers).reshape(2, 2, 3)
    share = np.linspace(0.0, 1.0, 201)[:, None]
    points = one[0] + share * (one[1] - one[0])
    others = other[0] + share * (other[1] - other[0])
    sampled = np.linalg.norm(points[:, None] - others[None], axis=2).min()

    exact = measure_between(one, other)

    assert exact <= sampled + 1e-12
    assert exact >= sampled - 0.02


def find_swiftly(path: Any, limits: MotionLimits, bodies: Bodies) -> dict[str, int]:
    counts = np.zeros(len(WHAT), np.int64)
    quiet = np.zeros(len(path) - 1, np.bool_)
    count_breaches(path, quiet, quiet, limits, bodies, counts)
    return {name: int(n) for name, n in zip(WHAT, counts, strict=True) if n}


def find_slowly(path: Any, limits: MotionLimits, bodies: Bodies) -> set[str]:
    return {b.what for b in SlowOracle(limits, bodies).find_breaches(path)}


def glide(joint: int, speed_radps: float, steps: int = 30) -> Any:
    """A path of one joint that gathers speed, keeps it and stops."""
    up = np.linspace(0.0, speed_radps, 200)
    speeds = np.concatenate([up, np.full(steps, speed_radps), up[::-1]])
    path = np.tile(HOME_Q, (len(speeds) + 1, 1))
    path[1:, joint] += np.cumsum(speeds) * PERIOD_S
    return path


def test_a_path_within_all_limits_has_no_breach() -> None:
    path = glide(0, 0.5)

    assert find_slowly(path, LIMITS, NOTHING_AROUND) == set()
    assert find_swiftly(path, LIMITS, NOTHING_AROUND) == {}


def tightened(**changes: Any) -> MotionLimits:
    return LIMITS._replace(**changes)


TCP = compute_tcp(HOME_Q)


@pytest.mark.parametrize(
    ("what", "path", "limits"),
    [
        ("position above", glide(0, 0.5), tightened(joint_max_rad=HOME_Q + 0.01)),
        ("position below", glide(5, -0.5), tightened(joint_min_rad=HOME_Q - 0.01)),
        ("joint speed", glide(3, 0.5), tightened(joint_speed_radps=np.full(6, 0.4))),
        (
            "joint acceleration",
            glide(3, 0.5),
            tightened(joint_acceleration_radps2=np.full(6, 1.2)),
        ),
        ("tool speed", glide(0, -0.5), tightened(tcp_speed_mps=0.2)),
        ("workspace above", glide(1, -0.3), tightened(workspace_max_m=TCP + 0.005)),
        ("workspace below", glide(1, 0.3), tightened(workspace_min_m=TCP - 0.005)),
    ],
)
def test_each_limit_that_a_path_breaks_is_named(
    what: Any, path: Any, limits: Any
) -> None:
    assert what in find_slowly(path, limits, NOTHING_AROUND)
    assert what in find_swiftly(path, limits, NOTHING_AROUND)


def test_a_number_that_is_none_is_a_breach() -> None:
    path = glide(0, 0.5)
    path[7, 3] = math.nan

    assert find_slowly(path, LIMITS, NOTHING_AROUND)
    assert "a position that is no number" in find_swiftly(path, LIMITS, NOTHING_AROUND)


def wall(distance_m: float) -> Bodies:
    """A table that far below the tool's ball at home."""
    ball = np.array([0.0, 0.0, TOOL_Z_M])
    return NOTHING_AROUND._replace(
        frame=np.array([6]),
        ends=np.array([[ball, ball]]),
        radius=np.array([0.03]),
        zone_kind=np.array([HALF_SPACE]),
        zone_size=np.zeros((1, 3)),
        base_from_zone=tilted([0, 0, TCP[2] - 0.03 - distance_m], [0, 0, 0])[None],
        zone_margin=np.zeros(1),
        against_zone=np.array([[0, 0]]),
    )


def test_a_path_that_dips_into_a_zone_is_a_breach() -> None:
    down = glide(1, 0.2)

    assert find_slowly(down, LIMITS, wall(0.3)) == set()
    assert find_slowly(down, LIMITS, wall(0.01)) == {"clearance"}
    assert "clearance" in find_swiftly(down, LIMITS, wall(0.01))


def test_out_of_a_zone_is_permitted_and_deeper_into_it_is_not() -> None:
    up, down = glide(1, -0.2), glide(1, 0.2)

    assert find_slowly(up, LIMITS, wall(-0.02)) == set()
    assert find_swiftly(up, LIMITS, wall(-0.02)) == {}
    assert find_slowly(down, LIMITS, wall(-0.02)) == {"clearance"}
    assert "clearance" in find_swiftly(down, LIMITS, wall(-0.02))


def test_a_capsule_that_is_not_there_hits_nothing() -> None:
    absent = wall(0.01)._replace(radius=np.zeros(1))

    assert find_slowly(glide(1, 0.2), LIMITS, absent) == set()
    assert find_swiftly(glide(1, 0.2), LIMITS, absent) == {}


def test_after_missing_setpoints_motion_starts_from_rest_again() -> None:
    path = glide(0, 0.5)
    cut = np.vstack([path[:150], np.tile(path[149], (3, 1))])
    restarts = np.zeros(len(cut) - 1, np.bool_)

    assert SlowOracle(LIMITS).find_breaches(cut, restarts)
    restarts[149] = True
    assert SlowOracle(LIMITS).find_breaches(cut, restarts) == []


def test_growing_faster_while_holding_is_a_breach() -> None:
    path = glide(0, 0.5)
    counts = np.zeros(len(WHAT), np.int64)
    restarts = np.zeros(len(path) - 1, np.bool_)

    first = count_breaches(path, restarts, ~restarts, LIMITS, NOTHING_AROUND, counts)

    # The first step of the glide is still.
    assert first == 2
    assert counts[WHAT.index("faster while it holds")] == 199


def test_a_jerk_beyond_its_limit_is_a_breach_unless_the_guard_holds() -> None:
    path = glide(0, 0.5)
    limits = tightened(joint_jerk_radps3=np.full(6, 100.0))
    counts = np.zeros(len(WHAT), np.int64)
    quiet = np.zeros(len(path) - 1, np.bool_)
    count_breaches(path, quiet, ~quiet, limits, NOTHING_AROUND, counts)

    assert "joint jerk" in find_swiftly(path, limits, NOTHING_AROUND)
    assert counts[WHAT.index("joint jerk")] == 0


def test_a_ramp_may_swing_back_to_where_its_last_granted_step_began() -> None:
    out_and_back = np.array([0.0, -2e-4, -3e-4, -1e-4])[:, None] * np.eye(6)[1]
    path = HOME_Q + out_and_back
    low = tightened(
        workspace_max_m=TCP - np.array([9.0, 9.0, 1e-2]) * [0, 0, 1],
        joint_acceleration_radps2=np.full(6, 1e3),
    )
    quiet = np.zeros(3, np.bool_)
    ramp = np.array([False, True, True])

    def count(holds: Any) -> int:
        counts = np.zeros(len(WHAT), np.int64)
        count_breaches(path, quiet, holds, low, NOTHING_AROUND, counts)
        return int(counts[WHAT.index("workspace above")])

    def list_slowly(holds: Any) -> list[int]:
        found = SlowOracle(low).find_breaches(path, holds=holds)
        return [b.step for b in found if b.what == "workspace above"]

    # Upwards is outwards: the first two steps go further out whatever they are.
    assert count(quiet) == len(list_slowly(quiet)) == 2
    assert count(ramp) == len(list_slowly(ramp)) == 3
    assert count(np.array([False, False, True])) == 2
    assert list_slowly(np.array([False, False, True])) == [1, 2]
