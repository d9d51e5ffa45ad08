"""A whole world, ticked by hand: picks, forces, collisions, the witness."""

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from sim2real.virtual_cell.links import PartZone
from sim2real.virtual_cell.monitor import ViolationKind
from sim2real.virtual_cell.part_flow import LineOrder
from tests.fakes.cell_scene import DrivenWorld
from tests.fakes.grasp_oracle import OracleGrasp, plan_oracle_grasp


def pick(driven: DrivenWorld) -> OracleGrasp:
    grasp = plan_oracle_grasp(driven.world.scene)
    assert grasp is not None
    above = raised(grasp.base_from_tcp, 0.12)
    driven.move(driven.joints_of(above), 1.5)
    driven.move(grasp.q, 0.6)
    driven.closed = 1.0
    driven.hold(0.6)
    driven.move(driven.joints_of(above), 0.6)
    driven.hold(0.3)
    return grasp


def raised(pose: Pose, height_m: float) -> Pose:
    return Pose(pose.position_m + np.array([0.0, 0.0, height_m]), pose.quat_wxyz)


def test_a_part_is_picked_weighed_placed_and_taken_without_a_violation() -> None:
    driven = DrivenWorld(seed=0)

    grasp = pick(driven)
    record = driven.joint_record()
    mass_kg = driven.world.scene.parts[grasp.part].mass_kg
    assert record["gripper_contact"] == 1
    assert 0.05 < record["gripper_position"] < 0.95
    assert record["flange_wrench"][2] == pytest.approx(-9.81 * mass_kg, abs=0.4)
    assert driven.world.flow.zones[grasp.part] == PartZone.GRIPPER

    outfeed = driven.geometry.base_from_outfeed.position_m
    height = float(grasp.base_from_tcp.position_m[2]) + 0.05
    driven.move(driven.joints_at(outfeed + np.array([0.0, 0.0, 0.15])), 1.5)
    driven.move(driven.joints_at(np.array([*outfeed[:2], height])), 0.6)
    driven.closed = 0.0
    driven.hold(0.4)
    driven.move(driven.joints_at(outfeed + np.array([0.0, 0.0, 0.15])), 0.6)
    assert driven.world.flow.zones[grasp.part] == PartZone.OUTFEED
    assert driven.joint_record()["gripper_contact"] == 0

    driven.order = LineOrder(0, 0, take_id=1)
    driven.hold(0.1)
    assert driven.world.flow.count(PartZone.OUTFEED) == 0
    assert driven.world.monitor.count == 0


def test_fingers_that_close_on_nothing_report_no_contact() -> None:
    driven = DrivenWorld()

    driven.closed = 1.0
    driven.hold(0.8)

    record = driven.joint_record()
    assert record["gripper_contact"] == 0
    assert record["gripper_position"] > 0.97


def test_pressing_the_table_is_witnessed_and_stops_the_robot() -> None:
    driven = DrivenWorld()
    start = driven.joints_at(np.array([0.05, 0.62, 0.10]))
    driven.move(start, 1.5)
    assert driven.world.monitor.count == 0

    driven.move(driven.joints_at(np.array([0.05, 0.62, -0.015])), 1.0)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.FIXTURE_COLLISION] == 1
    assert driven.joint_record()["collision"] == 1
    assert driven.joint_record()["flange_wrench"][2] > 100.0
    last = driven.world.monitor.last
    assert last is not None


def test_leaving_the_workspace_is_witnessed() -> None:
    driven = DrivenWorld()

    driven.move(driven.joints_at(np.array([0.45, 0.40, 0.30])), 1.2)
    assert driven.world.monitor.count == 0
    driven.move(driven.joints_at(np.array([0.55, 0.40, 0.30])), 1.2)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.WORKSPACE] == 1
    assert driven.world.monitor.count == 1


def test_folding_the_arm_into_itself_is_witnessed() -> None:
    driven = DrivenWorld()
    folded = np.array(driven.geometry.home_q_rad)
    folded[2:4] = 2.4, 0.0  # the hand comes to lie against the upper arm

    driven.move(folded, 2.5)

    assert driven.world.monitor.counts[ViolationKind.SELF_COLLISION] >= 1


def test_too_fast_a_joint_is_witnessed_by_its_target_and_its_motion() -> None:
    driven = DrivenWorld()
    turned = np.array(driven.geometry.home_q_rad)
    turned[5] += 2.0

    driven.move(turned, 1.0)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.JOINT_SPEED] == 1
    assert counts[ViolationKind.JOINT_SPEED_TARGET] == 1


def test_two_worlds_with_one_seed_stay_equal_tick_by_tick() -> None:
    states = []
    for _ in range(2):
        driven = DrivenWorld(seed=6)
        pick(driven)
        states.append(driven.world.scene.data.qpos.copy())

    assert np.array_equal(states[0], states[1])


def test_records_say_what_camera_and_line_need() -> None:
    driven = DrivenWorld(seed=1, parts_in_bin=9)
    driven.hold(0.1)

    record = driven.world.make_world_record(real_time_factor=0.99, now_ns=77)

    model = driven.world.scene.model
    assert record["stamp_ns"] == 77
    assert record["parts_in_bin"] == 9
    assert record["qpos"][: model.nq] == pytest.approx(driven.world.scene.data.qpos)
    assert record["limit_violations"] == 0
    assert record["real_time_factor"] == 0.99
    assert (record["part_zone"] == PartZone.BIN).sum() == 9
