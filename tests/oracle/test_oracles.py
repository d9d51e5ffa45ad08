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
from tests.oracle.config_limits import read_limits
from tests.oracle.plain import (
    BOX,
    CYLINDER,
    HALF_SPACE,
    NOTHING_AROUND,
    Bodies,
    MotionLimits,
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
from tests.oracle.swift_grants import WHAT_GRANTS, count_wrong_grants
from tests.oracle.swift_singular import compute_sigmas

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
LIMITS = read_limits(SAFETY, TOOL.as_matrix()[:3], PERIOD_S)
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


@pytest.mark.parametrize("kind", [BOX, CYLINDER])
def test_an_axis_that_goes_through_a_solid_is_inside_of_it(kind: Any) -> None:
    # Of some that go through a thin box MuJoCo says that they pass beside it.
    rng = np.random.default_rng(7)
    ends = segment((0.0, 0.0, -0.06), (0.0, 0.0, 0.05))
    size = (0.07, 0.017, 0.09) if kind == BOX else (0.07, 0.017, 0.0)
    for _ in range(100):
        # Its middle lies anywhere on the axis, which ends inside of some.
        middle = ends[0] + rng.uniform(0.0, 1.0) * (ends[1] - ends[0])
        bodies = NOTHING_AROUND._replace(
            frame=np.array([0]),
            ends=ends[None],
            radius=np.array([0.054]),
            zone_kind=np.array([kind]),
            zone_size=np.array([size]),
            base_from_zone=tilted(middle.tolist(), rng.normal(size=3).tolist())[None],
            zone_margin=np.array([0.01]),
            against_zone=np.array([[0, 0]]),
        )

        assert SlowOracle(LIMITS, bodies).measure(HOME_Q)[0] == -0.054 - 0.01


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


NEAR = {"clearance", "clearance on the way"}
LINGERS = "moves inside and does not leave"


def test_a_path_that_dips_into_a_zone_is_a_breach() -> None:
    down = glide(1, 0.2)

    assert find_slowly(down, LIMITS, wall(0.3)) == set()
    assert find_slowly(down, LIMITS, wall(0.01)) == NEAR | {LINGERS}
    assert "clearance" in find_swiftly(down, LIMITS, wall(0.01))


def test_out_of_a_zone_is_permitted_and_deeper_into_it_is_not() -> None:
    up, down = glide(1, -0.2), glide(1, 0.2)

    assert find_slowly(up, LIMITS, wall(-0.02)) == set()
    assert find_swiftly(up, LIMITS, wall(-0.02)) == {}
    assert find_slowly(down, LIMITS, wall(-0.02)) == NEAR | {LINGERS}
    assert "clearance" in find_swiftly(down, LIMITS, wall(-0.02))


def test_sideways_inside_of_a_plane_is_a_breach_and_outside_is_none() -> None:
    # The base turns along the table, at the same height.
    along = glide(0, 0.2)
    ramp = np.ones(len(along) - 1, np.bool_)

    assert find_slowly(along, LIMITS, wall(-0.02)) == {LINGERS}
    assert set(find_swiftly(along, LIMITS, wall(-0.02))) == {LINGERS}
    assert find_slowly(along, LIMITS, wall(0.1)) == set()
    assert find_swiftly(along, LIMITS, wall(0.1)) == {}
    assert SlowOracle(LIMITS, wall(-0.02)).find_breaches(along, holds=ramp) == []
    counts = np.zeros(len(WHAT), np.int64)
    count_breaches(along, ~ramp, ramp, LIMITS, wall(-0.02), counts)
    assert counts[WHAT.index(LINGERS)] == 0


def test_standing_inside_of_a_plane_is_no_breach() -> None:
    still = np.tile(HOME_Q, (20, 1))

    assert find_slowly(still, LIMITS, wall(-0.02)) == set()
    assert find_swiftly(still, LIMITS, wall(-0.02)) == {}


def test_sideways_inside_of_the_arm_itself_is_a_breach() -> None:
    # A ball on the axis of the base, around the one at the tool.
    centre = np.array([0.0, 0.0, TOOL_Z_M])
    inside = wall(9.0)._replace(
        frame=np.array([6, 0]),
        ends=np.array([[centre, centre], [[0.0, 0.0, -0.1], [0.0, 0.0, 0.9]]]),
        radius=np.array([0.03, 0.9]),
        against_zone=np.zeros((0, 2), np.int64),
        against_self=np.array([[1, 0]]),
    )

    assert set(find_swiftly(glide(0, 0.2), LIMITS, inside)) == {LINGERS}


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


def test_what_lies_between_two_setpoints_is_noticed() -> None:
    down = np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0])
    path = np.array([HOME_Q, HOME_Q + down])
    middle = compute_tcp(HOME_Q + 0.5 * down)
    thin = wall(0.0)._replace(
        zone_kind=np.array([BOX]),
        zone_size=np.array([[0.3, 0.3, 1e-4]]),
        base_from_zone=np.column_stack([np.eye(3), middle])[None],
        radius=np.array([0.01]),
    )

    found = find_slowly(path, LIMITS, thin)

    assert "clearance on the way" in found
    assert "clearance" not in found


def test_an_approach_to_a_singularity_is_a_breach() -> None:
    bent = HOME_Q.copy()
    bent[4] = -0.3
    nearer, away = glide(4, 0.1), glide(4, -0.1)
    shift = bent - HOME_Q

    for find in (find_slowly, find_swiftly):
        assert "singular value" in find(nearer + shift, LIMITS, NOTHING_AROUND)
        assert "singular value" not in find(away + shift, LIMITS, NOTHING_AROUND)
    ramp = np.ones(len(nearer) - 1, np.bool_)
    oracle = SlowOracle(LIMITS)
    names = {b.what for b in oracle.find_breaches(nearer + shift, holds=ramp)}
    assert "singular value" not in names
    counts = np.zeros(len(WHAT), np.int64)
    count_breaches(nearer + shift, ~ramp, ramp, LIMITS, NOTHING_AROUND, counts)
    assert counts[WHAT.index("singular value")] == 0


def test_both_find_the_same_steps_too_near_to_a_singularity() -> None:
    rng = np.random.default_rng(5)
    path = HOME_Q + np.cumsum(rng.normal(0.0, 0.02, (400, 6)), axis=0)
    path[:, 4] = 0.2 * np.sin(0.05 * np.arange(400))
    holds = rng.random(399) < 0.3
    counts = np.zeros(len(WHAT), np.int64)

    count_breaches(path, holds, holds, LIMITS, NOTHING_AROUND, counts)
    slow = SlowOracle(LIMITS).find_breaches(path, holds=holds)

    steps = [breach.step for breach in slow if breach.what == "singular value"]
    assert counts[WHAT.index("singular value")] == len(steps) > 50


@settings(max_examples=200)
@given(st.lists(angles, min_size=1, max_size=4))
def test_both_find_the_same_singular_values(rows: Any) -> None:
    tool = Pose.from_rotvec([0.03, -0.05, 0.17], [0.4, 0.1, -0.2]).as_matrix()[:3]
    oracle = SlowOracle(LIMITS._replace(flange_from_tcp=tool))

    found = compute_sigmas(np.array(rows), tool[:, 3])

    wanted = [oracle.find_sigma(np.array(q)) for q in rows]
    assert found == pytest.approx(wanted, abs=1e-9)


def test_a_path_that_is_no_number_has_no_singular_values() -> None:
    path = np.array([HOME_Q, np.full(6, np.nan)])

    found = compute_sigmas(path, TOOL.position_m)

    assert found[0] > 0.1
    assert np.isnan(found[1])
    assert np.isnan(compute_sigmas(path[1:], TOOL.position_m)).all()


def test_the_oracles_read_the_limits_that_the_guard_packs() -> None:
    rng = np.random.default_rng(0)
    drawn: dict[str, Any] = {
        "freshness_s": 0.0437,
        "tcp_speed_mps": 0.7,
        "tcp_force_n": 91.0,
        "tcp_torque_nm": 17.0,
        "joint_min_rad": tuple(rng.uniform(-6.0, -3.0, 6).tolist()),
        "joint_max_rad": tuple(rng.uniform(3.0, 6.0, 6).tolist()),
        "joint_speed_radps": tuple(rng.uniform(0.1, 3.0, 6).tolist()),
        "joint_acceleration_radps2": tuple(rng.uniform(1.0, 40.0, 6).tolist()),
        "joint_jerk_radps3": tuple(rng.uniform(100.0, 2e4, 6).tolist()),
        "workspace_min_m": (-0.51, 0.12, 0.013),
        "workspace_max_m": (0.43, 0.74, 0.65),
    }
    tool = Pose.from_rotvec([0.03, -0.05, 0.17], [0.4, 0.1, -0.2])
    for config in (SAFETY, SAFETY.model_copy(update=drawn)):
        packed = make_limits(config, tool, 0.004)[0]
        plain = read_limits(config, tool.as_matrix()[:3], 0.004)
        for name in MotionLimits._fields:
            assert np.array_equal(packed[name], getattr(plain, name)), name


MS = 1_000_000


def count_grants(**changes: Any) -> dict[str, int]:
    """Judge ten granted cycles of rest, with some things changed."""
    facts: dict[str, Any] = {
        "requests": np.tile(HOME_Q, (10, 1)),
        "wrenches": np.zeros((10, 6)),
        "stamps": np.full((10, 3), 1_000 * MS, np.int64),
        "path": np.tile(HOME_Q, (11, 1)),
        "holds": np.zeros(10, np.bool_),
    }
    counts = np.zeros(len(WHAT_GRANTS), np.int64)
    judge: Any = count_wrong_grants
    judge(*(facts | changes).values(), LIMITS, counts)
    return {WHAT_GRANTS[k]: int(counts[k]) for k in np.flatnonzero(counts)}


def stamps(column: int, value_ns: int) -> Any:
    made = np.full((10, 3), 1_000 * MS, np.int64)
    made[4, column] = value_ns
    return made


def test_what_might_be_granted_is_no_wrong_grant() -> None:
    assert count_grants() == {}
    assert count_grants(stamps=stamps(0, 900 * MS)) == {}
    assert count_grants(stamps=stamps(1, 950 * MS)) == {}
    assert count_grants(stamps=stamps(1, 1_010 * MS)) == {}


@pytest.mark.parametrize("value_ns", [900 * MS - 1, 1_010 * MS + 1, 0, -5])
def test_a_grant_of_something_old_is_noticed(value_ns: Any) -> None:
    found = count_grants(stamps=stamps(0, value_ns))

    assert found == {"granted an old command": 1}


@pytest.mark.parametrize("value_ns", [950 * MS - 1, 1_010 * MS + 1, 0])
def test_a_grant_without_a_sample_of_the_arm_is_noticed(value_ns: Any) -> None:
    found = count_grants(stamps=stamps(1, value_ns))

    assert found == {"granted with an old sample of the arm": 1}


def test_a_grant_of_something_else_is_noticed_and_a_hold_is_none() -> None:
    path = np.tile(HOME_Q, (11, 1))
    path[5:] += 1e-12
    holds = np.arange(10) >= 4

    found = count_grants(path=path)

    assert found == {"granted something else than was asked": 6}
    assert count_grants(path=path, holds=holds) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_a_grant_without_a_load_is_noticed(value: Any) -> None:
    wrenches = np.zeros((10, 6))
    wrenches[3, 5] = value

    assert count_grants(wrenches=wrenches) == {
        "granted under a load that is no number": 1
    }


def test_quick_motion_under_a_load_that_lasts_is_noticed() -> None:
    wrenches = np.zeros((10, 6))
    wrenches[:, 2] = 4.0 * SAFETY.tcp_force_n
    path = HOME_Q + np.outer(np.arange(11), [0.0003, 0, 0, 0, 0, 0])
    slow = HOME_Q + np.outer(np.arange(11), [0.0001, 0, 0, 0, 0, 0])

    found = count_grants(wrenches=wrenches, path=path, requests=path[1:])

    # The load needs two cycles to come up.
    assert found == {"granted motion under load": 9}
    assert count_grants(wrenches=wrenches, path=slow, requests=slow[1:]) == {}


def test_mujocos_side_notices_a_jerk_beyond_its_limit_too() -> None:
    path = glide(0, 0.5)
    limits = tightened(joint_jerk_radps3=np.full(6, 100.0))
    ramp = np.ones(len(path) - 1, np.bool_)

    assert find_slowly(path, limits, NOTHING_AROUND) == {"joint jerk"}
    names = {b.what for b in SlowOracle(limits).find_breaches(path, holds=ramp)}
    assert "joint jerk" not in names


def test_after_a_ramp_has_come_to_rest_motion_begins_without_acceleration() -> None:
    # Stops at once, as a ramp may; one still step; then a soft start.
    soft = np.array([0.0, 1e-6, 4e-6, 9e-6])
    path = np.tile(HOME_Q, (9, 1))
    path[:, 0] += np.concatenate([[0.0, 1e-6, 3e-6, 3e-6, 3e-6], 3e-6 + soft])
    limits = tightened(joint_jerk_radps3=np.full(6, 300.0))
    oracle = SlowOracle(limits)
    ramp = np.array([False, False, True, False, False, False, False, False])

    def list_steps(holds: Any) -> list[int]:
        return [b.step for b in oracle.find_breaches(path, holds=holds)]

    assert list_steps(ramp) == []
    assert list_steps(np.zeros(8, np.bool_)) == [3]
    counts = np.zeros(len(WHAT), np.int64)
    count_breaches(path, np.zeros(8, np.bool_), ramp, limits, NOTHING_AROUND, counts)
    assert counts[WHAT.index("joint jerk")] == 0


def test_mujocos_side_notices_quick_motion_under_a_load_that_lasts() -> None:
    wrenches = np.zeros((10, 6))
    wrenches[:, 2] = 4.0 * SAFETY.tcp_force_n
    quick = HOME_Q + np.outer(np.arange(11), [0.0003, 0, 0, 0, 0, 0])
    slow = HOME_Q + np.outer(np.arange(11), [0.0001, 0, 0, 0, 0, 0])
    oracle = SlowOracle(tightened(joint_jerk_radps3=np.full(6, np.inf)))

    def list_steps(path: Any, what: str, holds: Any = None) -> list[int]:
        found = oracle.find_breaches(path, holds=holds, wrenches=wrenches)
        return [b.step for b in found if b.what == what]

    # The load needs two cycles to come up.
    assert list_steps(quick, "motion under load") == list(range(2, 11))
    assert list_steps(slow, "motion under load") == []
    assert list_steps(quick, "motion under load", np.ones(10, np.bool_)) == []
    wrenches[3, 5] = np.nan
    assert list_steps(slow, "a load that is no number") == [4]
    assert list_steps(quick, "motion under load") == list(range(2, 11))


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
def test_both_smooth_a_load_alike(shares: Any) -> None:
    count = len(shares)
    wrenches = np.zeros((count, 6))
    wrenches[:, 1] = np.array(shares) * SAFETY.tcp_force_n
    path = HOME_Q + np.outer(np.arange(count + 1), [0.0003, 0, 0, 0, 0, 0])
    counts = np.zeros(len(WHAT_GRANTS), np.int64)
    stamps_ns = np.full((count, 3), 1_000 * MS, np.int64)
    quiet = np.zeros(count, np.bool_)

    count_wrong_grants(path[1:], wrenches, stamps_ns, path, quiet, LIMITS, counts)
    slow = SlowOracle(LIMITS).find_breaches(path, wrenches=wrenches)

    wanted = sum(b.what == "motion under load" for b in slow)
    assert counts[WHAT_GRANTS.index("granted motion under load")] == wanted
