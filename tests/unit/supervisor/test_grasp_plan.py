"""Poses and joint targets for one part."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cell.contracts.geometry import Pose
from cell.kinematics.arm import compute_base_from_tcp
from cell.supervisor.grasp_plan import (
    Planner,
    Spot,
    candidates_of,
    lift,
    spot_of,
    turn_chunk,
)
from tests.fakes.policy import make_chunk
from tests.fakes.supervised_cell import make_layout

LAYOUT = make_layout()
PLANNER = Planner(LAYOUT)
HOME = LAYOUT.home_q_rad


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-0.33, -0.07),
    y=st.floats(0.38, 0.58),
    z=st.floats(0.02, 0.08),
    yaw=st.floats(-math.pi, math.pi),
)
def test_every_grasp_in_the_bin_has_a_way(
    x: float, y: float, z: float, yaw: float
) -> None:
    plan = PLANNER.plan_pick(make_chunk(0, (x, y, z), yaw), HOME)

    assert plan is not None
    above = compute_base_from_tcp(plan.q_pregrasp, LAYOUT.flange_from_tcp)
    assert above.position_m == pytest.approx([x, y, z + 0.10], abs=1e-5)
    assert plan.retreat.position_m[2] > plan.path[-1].position_m[2]
    assert plan.grasp_height_m == pytest.approx(z - 0.01)
    assert bool(np.all(plan.q_pregrasp >= LAYOUT.joint_min_rad))
    assert bool(np.all(plan.q_pregrasp <= LAYOUT.joint_max_rad))


def test_of_two_equal_finger_orders_the_one_with_less_travel_is_taken() -> None:
    for yaw in np.linspace(-math.pi, math.pi, 9):
        chunk = make_chunk(0, yaw_rad=float(yaw))
        plan = PLANNER.plan_pick(chunk, HOME)
        turned = PLANNER.plan_pick(turn_chunk(chunk), HOME)

        assert plan is not None
        assert turned is not None
        assert plan.q_pregrasp == pytest.approx(turned.q_pregrasp, abs=1e-6)


def test_turning_a_chunk_moves_no_fingertip_line() -> None:
    chunk = make_chunk()
    turned = turn_chunk(chunk)

    assert spot_of(turned).is_same(spot_of(chunk))
    assert turned.steps[-1].base_from_tcp.position_m == pytest.approx(
        chunk.steps[-1].base_from_tcp.position_m
    )


def test_a_grasp_out_of_reach_has_no_way() -> None:
    assert PLANNER.plan_pick(make_chunk(0, (1.5, 1.5, 0.03)), HOME) is None


@pytest.mark.parametrize("number", range(8))
def test_every_place_lies_on_the_plate_and_above_it(number: int) -> None:
    plan = PLANNER.plan_place(HOME, 0.03, number)

    assert plan is not None
    x, y, z = plan.place.position_m
    assert abs(x - 0.22) < 0.10
    assert abs(y - 0.46) < 0.10
    assert 0.05 < z < 0.05 + 0.07
    assert plan.above.position_m[2] == pytest.approx(
        z + LAYOUT.motion.approach_height_m
    )


def test_neighbouring_parts_are_not_put_on_top_of_each_other() -> None:
    places = [PLANNER.plan_place(HOME, 0.03, number) for number in range(4)]
    positions = [plan.place.position_m[:2] for plan in places if plan is not None]

    gaps = [
        float(np.linalg.norm(a - b))
        for i, a in enumerate(positions)
        for b in positions[i + 1 :]
    ]
    assert min(gaps) > 0.07


@pytest.mark.parametrize("grasp_height_m", [-0.01, 0.0, 0.02, 0.2])
def test_a_part_is_let_go_neither_in_the_plate_nor_high_above_it(
    grasp_height_m: float,
) -> None:
    plan = PLANNER.plan_place(HOME, grasp_height_m, 0)

    assert plan is not None
    assert 0.064 <= plan.place.position_m[2] <= 0.115


def test_a_low_tool_is_lifted_straight_up_and_a_high_one_is_not() -> None:
    low = Pose.tool_down((-0.2, 0.48, 0.03), 0.3)

    lifted = PLANNER.plan_lift(low)

    assert lifted is not None
    assert lifted.position_m[:2] == pytest.approx(low.position_m[:2])
    assert lifted.position_m[2] == pytest.approx(PLANNER.travel_height_m())
    assert PLANNER.plan_lift(lift(low, 0.5)) is None


def test_home_is_outside_the_zone_and_the_bin_is_inside() -> None:
    home = compute_base_from_tcp(HOME, LAYOUT.flange_from_tcp)

    assert not PLANNER.is_over_bin(home)
    assert PLANNER.is_over_bin(Pose.tool_down((-0.2, 0.48, 0.1), 0.0))


def test_grasps_that_failed_come_last() -> None:
    first = make_chunk(0, (-0.20, 0.48, 0.03))
    other = make_chunk(0, (-0.25, 0.50, 0.03))
    chunk = make_chunk(0, (-0.20, 0.48, 0.03), alternatives=(other,))

    order = list(candidates_of(chunk, [spot_of(first)]))

    assert order == [other, chunk]


def test_half_a_turn_is_the_same_grasp_and_a_quarter_is_not() -> None:
    spot = Spot(0.1, 0.2, 0.3)

    assert spot.is_same(Spot(0.1, 0.2, 0.3 + math.pi))
    assert not spot.is_same(Spot(0.1, 0.2, 0.3 + math.pi / 2))
    assert not spot.is_same(Spot(0.12, 0.2, 0.3))
